/** Both networks on the sample set, on DSConv's CPU backend: the numbers are those of every backend. */
import '@dsconv/backend-cpu';
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
  private floatLogits: Float32Array[] | null = null;

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
    const logits = await logitsOf(quantized, this.inputs, stopIfOld);
    const exact = this.floatLogits;
    const sum = logits.reduce((total, found, n) => total + divergence(exact[n]!, found), 0);
    return {
      float: exact.map(best),
      quantized: logits.map(best),
      divergence: samples.length === 0 ? 0 : sum / samples.length,
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

async function logitsOf(
  network: Network,
  inputs: readonly Float32Array[],
  stopIfOld: () => void,
): Promise<Float32Array[]> {
  const { size, channels } = network.preprocessing;
  const length = size * size * channels;
  const logits: Float32Array[] = [];
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
    const found = y.dataSync() as Float32Array;
    const classes = found.length / batch.length;
    for (let n = 0; n < batch.length; n++) logits.push(found.slice(n * classes, (n + 1) * classes));
    x.dispose();
    y.dispose();
  }
  if (logits.some((values) => values.some(Number.isNaN))) {
    throw new DSConvError('NOT_FINITE', 'the network computes NaN for a sample; expected numbers');
  }
  return logits;
}

const best = (values: Float32Array): number => values.indexOf(Math.max(...values));

/** Kullback-Leibler divergence of the softmax of `found` from that of `exact`, in nats. */
function divergence(exact: Float32Array, found: Float32Array): number {
  const [p, q] = [logSoftmax(exact), logSoftmax(found)];
  return p.reduce((sum, value, n) => sum + Math.exp(value) * (value - q[n]!), 0);
}

function logSoftmax(values: Float32Array): number[] {
  const high = Math.max(...values);
  const norm = Math.log(values.reduce((sum, value) => sum + Math.exp(value - high), 0));
  return Array.from(values, (value) => value - high - norm);
}
