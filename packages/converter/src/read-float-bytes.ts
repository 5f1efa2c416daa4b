/** Float networks from the bytes of one file, wherever they come from. */
import {
  type ArchitectureConfig,
  FileFormatError,
  isNetworkFile,
  type Network,
  networkOf,
  readSafetensors,
} from '@dsconv/models';
import { describeNetwork } from './describe-network.js';
import { hashOf } from './sha256.js';
import { readTorchNetwork } from './torch-safetensors.js';

export interface ReadFloatOptions {
  /** The architecture, where it should not be found from the file: a name, or a name and sizes. */
  architecture?: ArchitectureConfig | string;
}

/**
 * Reads a float network, batch normalization folded, from a safetensors file with PyTorch's names or our own file of a float network.
 *
 * @param name of the file, which the network keeps as its source
 * @param address of the file in errors, such as its path; by default its name
 * @throws FileFormatError when it is neither, damaged, or already quantized
 * @throws NotFiniteError naming tensor and index of a NaN or infinite value
 * @throws UnknownModelError when `architecture` is not known
 */
export async function readFloatBytes(
  bytes: Uint8Array,
  name: string,
  { architecture }: ReadFloatOptions = {},
  address = name,
): Promise<Network> {
  const file = readSafetensors(bytes, address);
  if (isNetworkFile(file)) {
    const network = networkOf(file, address);
    if (!network.isQuantized) return network;
    throw new FileFormatError(address, 'is already quantized; expected a float network');
  }
  const wanted = typeof architecture === 'string' ? { name: architecture } : architecture;
  const sourceSha256 = await hashOf(bytes);
  const { architecture: found, weights, hints } = readTorchNetwork(file, address, wanted);
  return describeNetwork(found, weights, { source: name, sourceSha256 }, hints);
}
