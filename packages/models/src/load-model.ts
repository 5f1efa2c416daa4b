import { ModelNotShippedError } from './errors.js';
import { readNetwork } from './format/network-reader.js';
import type { Network } from './network.js';
import { readAsset } from './read-asset.js';
import { getModel, listModels } from './registry.js';

/** Written out one by one, because bundlers find assets by this very expression. */
const ASSETS: Readonly<Record<string, () => URL>> = {
  'resnet20.fashion_mnist': () => new URL('../assets/resnet20.fashion_mnist.safetensors', import.meta.url),
};

/**
 * Loads a network that is shipped in this package, in Node or in a browser.
 *
 * @param id as in `listModels()`
 * @throws UnknownModelError for an id that is not in the registry
 * @throws ModelNotShippedError when only the architecture is known; the message says where the weights come from
 * @throws FileFormatError when the asset cannot be read
 */
export async function loadModel(id: string): Promise<Network> {
  const { weights } = getModel(id);
  const asset = ASSETS[id];
  if (!weights.shipped || !asset) {
    const shipped = listModels().filter((entry) => entry.weights.shipped);
    throw new ModelNotShippedError(
      `the weights of '${id}' are not in this package; expected one of ${shipped.map((entry) => `'${entry.id}'`).join(', ')}, or a file quantized from ${weights.shipped ? 'the float network' : weights.from}`,
    );
  }
  const url = asset();
  return readNetwork(await readAsset(url), url.pathname.split('/').at(-1)!);
}

/** Folder of a few test pictures with `labels.json` (`[{file, labelIndex, label}]`) for a shipped model, or null. */
export function examplePictures(id: string): URL | null {
  return id === 'resnet20.fashion_mnist' ? new URL('../assets/fashion-mnist/', import.meta.url) : null;
}
