/** From pictures to the names of what they show. */
import { compile, InvalidArgumentError, NotFiniteError, type Plan } from '@dsconv/core';
import { getBackend, type Tensor, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import type { Network } from './network.js';
import { type Picture, preprocess } from './preprocessing.js';

export interface ClassifyOptions {
  /** Classes per picture. Default 5. */
  topK?: number;
  /** Pictures that are computed at once. Default 8. */
  batchSize?: number;
}

/** One class with the probability that a picture shows it. */
export interface Classification {
  index: number;
  /** Null where the network knows no names. */
  label: string | null;
  /** 0 to 1. */
  probability: number;
}

/** Plans of one network by the size of their batch, for the backend that is current. */
export class PictureClassifier {
  private backend = '';
  private readonly plans = new Map<number, Promise<Plan>>();
  /** Sizes that were computed once; the second time is worth a plan. */
  private readonly seen = new Set<number>();

  constructor(private readonly network: Network) {}

  /** As {@link Network.classify}. */
  async run(pictures: readonly Picture[], options: ClassifyOptions): Promise<Classification[][]> {
    const { topK = 5, batchSize = 8 } = options;
    for (const [name, value] of Object.entries({ topK, batchSize })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new InvalidArgumentError(`${name} is ${value}; expected a positive integer`);
      }
    }
    const results: Classification[][] = [];
    for (let first = 0; first < pictures.length; first += batchSize) {
      const count = Math.min(batchSize, pictures.length - first);
      const x = this.input(pictures, first, count);
      try {
        const probabilities = await this.probabilities(x);
        const classes = probabilities.length / count;
        for (let n = 0; n < count; n++) {
          results.push(this.best(probabilities.subarray(n * classes, (n + 1) * classes), topK, first + n));
        }
      } finally {
        x.dispose();
      }
    }
    return results;
  }

  dispose(): void {
    // One that could not be made has told so already.
    for (const plan of this.plans.values()) plan.then((made) => made.dispose()).catch(() => undefined);
    this.plans.clear();
    this.seen.clear();
  }

  private input(pictures: readonly Picture[], first: number, count: number): Tensor4D {
    const { preprocessing } = this.network;
    const { size, channels } = preprocessing;
    const length = size * size * channels;
    const values = new Float32Array(count * length);
    for (let n = 0; n < count; n++) {
      try {
        values.set(preprocess(pictures[first + n]!, preprocessing), n * length);
      } catch (error) {
        if (pictures.length === 1 || !(error instanceof InvalidArgumentError)) throw error;
        throw new InvalidArgumentError(`pictures[${first + n}]: ${error.message}`);
      }
    }
    return tensor4d(values, [count, size, size, channels]);
  }

  private async probabilities(x: Tensor4D): Promise<Float32Array> {
    const backend = getBackend();
    if (backend !== this.backend) this.dispose();
    this.backend = backend;
    const y = await this.compute(x, x.shape[0]);
    try {
      return (await y.data()) as Float32Array;
    } finally {
      y.dispose();
    }
  }

  private async compute(x: Tensor4D, count: number): Promise<Tensor> {
    if (!this.seen.has(count)) {
      this.seen.add(count);
      return this.network.predict(x);
    }
    let plan = this.plans.get(count);
    if (!plan) {
      plan = compile((pictures) => this.network.predict(pictures as Tensor4D), x);
      this.plans.set(count, plan);
    }
    return (await (await plan).run(x)) as Tensor;
  }

  private best(probabilities: Float32Array, topK: number, picture: number): Classification[] {
    const { architecture, labels } = this.network;
    if (probabilities.some(Number.isNaN)) {
      throw new NotFiniteError(
        `network '${architecture.name}' computed NaN for picture ${picture}; expected probabilities`,
      );
    }
    return Array.from(probabilities.keys())
      .sort((a, b) => probabilities[b]! - probabilities[a]!)
      .slice(0, topK)
      .map((index) => ({ index, label: labels[index] ?? null, probability: probabilities[index]! }));
  }
}
