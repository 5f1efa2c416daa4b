import { ModelNotShippedError } from './errors.js';
import { readNetwork } from './format/network-reader.js';
import type { Network } from './network.js';
import { readAsset } from './read-asset.js';
import { getModel, listModels } from './registry.js';

/** By id and weight bits. Written out one by one, because bundlers find assets by this very expression. */
const ASSETS: Readonly<Record<string, Readonly<Record<number, () => URL>>>> = {
  'resnet20.fashion_mnist': {
    4: () => new URL('../assets/resnet20.fashion_mnist.safetensors', import.meta.url),
    3: () => new URL('../assets/resnet20.fashion_mnist.3bit.safetensors', import.meta.url),
    2: () => new URL('../assets/resnet20.fashion_mnist.2bit.safetensors', import.meta.url),
  },
};

/** Weight bits of a shipped network unless others are asked for. */
const DEFAULT_BITS = 4;

/** Weight bits in which a network is shipped, the ones that `loadModel` takes by default first; none for one that is not. */
export function shippedBits(id: string): number[] {
  return Object.keys(ASSETS[id] ?? {})
    .map(Number)
    .sort((a, b) => b - a);
}

/**
 * Loads a network that is shipped in this package, in Node or in a browser.
 *
 * @param id as in `listModels()`
 * @param options.bits weight bits, of those that `shippedBits` tells; 4 by default
 * @throws UnknownModelError for an id that is not in the registry
 * @throws ModelNotShippedError when only the architecture is known, or it is not shipped in these bits; the message says where the weights come from
 * @throws FileFormatError when the asset cannot be read
 */
export async function loadModel(
  id: string,
  { bits = DEFAULT_BITS }: { bits?: number } = {},
): Promise<Network> {
  const { weights } = getModel(id);
  const assets = ASSETS[id];
  if (!weights.shipped || !assets) {
    const shipped = listModels().filter((entry) => entry.weights.shipped);
    throw new ModelNotShippedError(
      `the weights of '${id}' are not in this package; expected one of ${shipped.map((entry) => `'${entry.id}'`).join(', ')}, or a file quantized from ${weights.shipped ? 'the float network' : weights.from}`,
    );
  }
  const asset = assets[bits];
  if (!asset) {
    throw new ModelNotShippedError(
      `'${id}' is not shipped with weights of ${bits} bits; expected ${shippedBits(id).join(', ')}`,
    );
  }
  const url = asset();
  return readNetwork(await readAsset(url), url.pathname.split('/').at(-1)!);
}

/** Folder of a few test pictures with `labels.json` (`[{file, labelIndex, label}]`) for a shipped model, or null. */
export function examplePictures(id: string): URL | null {
  return id === 'resnet20.fashion_mnist' ? new URL('../assets/fashion-mnist/', import.meta.url) : null;
}
