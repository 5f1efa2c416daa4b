/** What lies in the page itself: networks of the models package, in one or more sizes, and their float weights where the repository has them. */
import { readFloatBytes } from '@dsconv/converter/in-memory';
import { loadModel, type Network, shippedBits } from '@dsconv/models';
import type { FloatOrigin } from './api.js';
import type { Tell } from './channel.js';
import { dequantized } from './dequantized.js';
import { fetchBytes } from './fetch-bytes.js';

/** Float weights by the network's id. The models package is published without them; the patterns find nothing where a file is missing. */
const FLOATS: Readonly<Record<string, Record<string, string>>> = {
  'resnet20.fashion_mnist': import.meta.glob<string>(
    '../../../../packages/models/training/fashion-mnist-resnet20.float*.safetensors',
    { query: '?url', import: 'default', eager: true },
  ),
};

/** The files of a network, the one that is taken unless another is asked for first. */
export function shippedNetworks(id: string): Promise<Network[]> {
  return Promise.all(shippedBits(id).map((bits) => loadModel(id, { bits })));
}

/**
 * The float network behind a shipped one.
 *
 * @param quantized written out as floats where the repository has no float weights
 */
export async function shippedFloat(
  id: string,
  quantized: Network,
  tell: Tell,
): Promise<{ float: Network; floatOrigin: FloatOrigin }> {
  const [address] = Object.values(FLOATS[id] ?? {});
  if (address === undefined) return { float: dequantized(quantized), floatOrigin: 'dequantized' };
  const bytes = await fetchBytes(new URL(address, self.location.href).href, tell);
  const { name, channels, classes, inputSize } = quantized.architecture;
  const options = { architecture: { name, channels, classes, inputSize } };
  return { float: await readFloatBytes(bytes, id, options, address), floatOrigin: 'weights' };
}
