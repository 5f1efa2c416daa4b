/** Both networks on the sample set, on DSConv's CPU backend: the numbers are those of every backend. */
import '@dsconv/backend-cpu';
import { divergence } from '@dsconv/converter/in-memory';
import { DSConvError, selectBackend } from '@dsconv/core';
import { type Network, preprocess } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';
import type { Evaluation, SamplePicture } from './api.js';
import { decodePicture } from './pictures.js';

/** Pictures that are computed at once. */
const BATCH = 8;

/** Preprocessed samples, and the float network's answers for them, kept while neither changes. */
export class SampleSet {
  private key = '';
  private inputs: Float32Array[] = [];
  private floatLogits: Float32Array | null = null;

  /** The float network is another one now. */
  reset(): void {
    this.key = '';
    this.floatLogits = null;
  }

  /** @param stopIfOld called between batches; what it throws ends the work */
  async evaluate(
    quantized: Network,
    float: Network,
    samples: readonly SamplePicture[],
    stopIfOld: () => void,
  ): Promise<Evaluation> {
    await selectBackend(['dsconv-cpu']);
    await this.prepare(float, samples);
    this.floatLogits ??= await logitsOf(float, this.inputs, stopIfOld);
    const exact = this.floatLogits;
    const found = await logitsOf(quantized, this.inputs, stopIfOld);
    const { classes } = float.architecture;
    return {
      float: bestOf(exact, classes),
      quantized: bestOf(found, classes),
      divergence: samples.length === 0 ? 0 : divergence(exact, found, classes),
    };
  }

  private async prepare({ preprocessing }: Network, samples: readonly SamplePicture[]): Promise<void> {
    const key = samples.map(({ name, invert }) => `${name}${invert ? '!' : ''}`).join('\n');
    if (key === this.key) return;
    const inputs: Float32Array[] = [];
    for (const { name, blob, invert } of samples) {
      inputs.push(preprocess(await decodePicture(name, blob, invert), preprocessing));
    }
    this.inputs = inputs;
    this.floatLogits = null;
    this.key = key;
  }
}

/** @returns `[inputs, classes]` */
async function logitsOf(
  network: Network,
  inputs: readonly Float32Array[],
  stopIfOld: () => void,
): Promise<Float32Array> {
  const { size, channels } = network.preprocessing;
  const length = size * size * channels;
  const { classes } = network.architecture;
  const logits = new Float32Array(inputs.length * classes);
  for (let first = 0; first < inputs.length; first += BATCH) {
    await new Promise((resolve) => setTimeout(resolve));
    stopIfOld();
    const batch = inputs.slice(first, first + BATCH);
    const values = new Float32Array(batch.length * length);
    batch.forEach((input, n) => {
      values.set(input, n * length);
    });
    const x = tensor4d(values, [batch.length, size, size, channels]);
    const y = network.logits(x);
    logits.set(y.dataSync(), first * classes);
    x.dispose();
    y.dispose();
  }
  if (logits.some(Number.isNaN)) {
    throw new DSConvError('NOT_FINITE', 'the network computes NaN for a sample; expected numbers');
  }
  return logits;
}

/** The class of each picture. */
function bestOf(logits: Float32Array, classes: number): number[] {
  return Array.from({ length: logits.length / classes }, (_, n) => {
    const mine = logits.subarray(n * classes, (n + 1) * classes);
    return mine.indexOf(Math.max(...mine));
  });
}
