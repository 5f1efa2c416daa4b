/** The networks, with random weights of a seed: speed does not depend on what they learned. */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantizeNetwork } from '@dsconv/converter';
import {
  createArchitecture,
  getModel,
  Network,
  randomParameters,
  readNetwork,
  writeNetwork,
} from '@dsconv/models';

const SEED = 1;
export const BITS = 4;

/** By the name in the results; `blockSizes` are those of a full run. */
export const NETWORKS = {
  resnet18: { id: 'resnet18.tv_in1k', title: 'ResNet-18', blockSizes: [64] },
  resnet50: { id: 'resnet50.tv_in1k', title: 'ResNet-50', blockSizes: [64, 128] },
  'mobilenet_v1_1.0': { id: 'mobilenet_v1_1.0.keras_in1k', title: 'MobileNet v1 1.0', blockSizes: [64] },
  'mobilenet_v2_1.0': { id: 'mobilenet_v2_1.0.tv_in1k', title: 'MobileNet v2 1.0', blockSizes: [64] },
};

/** Files of one network in a temporary folder, so that every process reads the same numbers and none has to make them. */
export class NetworkFiles {
  #folder = null;
  /** Paths by name. */
  #made = {};

  /**
   * @param {string} name of {@link NETWORKS}
   * @param {number[]} blockSizes
   * @returns {Promise<{ float: string, quantized: Record<number, string> }>} paths; quantized by block size
   */
  async make(name, blockSizes) {
    if (this.#folder === null) {
      this.#folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
      // Ctrl-C ends the process without a look at any `finally`.
      process.once('SIGINT', () => {
        this.remove();
        process.exit(130);
      });
    }
    this.#made[name] ??= { float: null, quantized: {} };
    const files = this.#made[name];
    const missing = blockSizes.filter((blockSize) => !files.quantized[blockSize]);
    if (files.float && missing.length === 0) return files;
    const network = floatNetwork(NETWORKS[name].id);
    files.float = join(this.#folder, `${name}.safetensors`);
    await writeFile(files.float, writeNetwork(network));
    for (const blockSize of missing) {
      // 'absmax' because the search for better scales takes long and changes no time of a convolution.
      const { network: quantized } = await quantizeNetwork(network, {
        bits: BITS,
        blockSize,
        method: 'absmax',
      });
      files.quantized[blockSize] = join(this.#folder, `${name}-${BITS}-${blockSize}.safetensors`);
      await writeFile(files.quantized[blockSize], writeNetwork(quantized));
    }
    return files;
  }

  remove() {
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = null;
    this.#made = {};
  }
}

export async function readNetworkFrom(path) {
  return readNetwork(await readFile(path), path);
}

function floatNetwork(id) {
  const { architecture: config, preprocessing, labels } = getModel(id);
  const architecture = createArchitecture(config);
  return new Network({ architecture, weights: randomParameters(architecture, SEED), preprocessing, labels });
}
