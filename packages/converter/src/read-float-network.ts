import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type ArchitectureConfig, type Network, readNetwork } from '@dsconv/models';
import { describeNetwork } from './describe-network.js';
import { accessError } from './errors.js';
import { readKerasNetwork } from './keras-mobilenet.js';
import { type ModelFiles, readLayersModel } from './layers-model.js';
import { readBytes } from './read-bytes.js';
import { type ReadFloatOptions, readFloatBytes } from './read-float-bytes.js';

/**
 * Reads a float network, whatever it is stored as, with batch normalization folded:
 * a TensorFlow.js LayersModel (its folder or its model.json), a safetensors file with PyTorch's names, or our own file of a float network.
 *
 * @throws FileAccessError when the file, or a shard, cannot be read
 * @throws FileFormatError when it is none of these, damaged, or already quantized
 * @throws NotFiniteError naming tensor and index of a NaN or infinite value
 * @throws UnknownModelError when `architecture` is not known
 */
export async function readFloatNetwork(path: string, options: ReadFloatOptions = {}): Promise<Network> {
  const { architecture } = options;
  const wanted = typeof architecture === 'string' ? { name: architecture } : architecture;
  if ((await stat(path).catch(() => null))?.isDirectory()) {
    return readKeras(join(path, 'model.json'), wanted);
  }
  if (path.endsWith('.json')) return readKeras(path, wanted);
  return readFloatBytes(await readBytes(path), basename(resolve(path)), options, path);
}

const DISK: ModelFiles = {
  async size(path) {
    const status = await stat(path).catch((error: unknown) => {
      throw accessError(path, error, 'read');
    });
    return status.size;
  },
  read: readBytes,
};

async function readKeras(modelPath: string, wanted?: ArchitectureConfig): Promise<Network> {
  const file = await readLayersModel(modelPath, DISK);
  const { architecture, weights } = readKerasNetwork(file, modelPath, wanted);
  const source = basename(dirname(resolve(modelPath)));
  return describeNetwork(architecture, weights, { source, sourceSha256: file.sha256 });
}

/**
 * Reads a network in our own one-file format, float or quantized.
 *
 * @throws FileAccessError, FileFormatError
 */
export async function readNetworkFile(path: string): Promise<Network> {
  return readNetwork(await readBytes(path), path);
}
