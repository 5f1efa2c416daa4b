/** Batch normalization with the statistics of the batch, and the running ones that inference uses. */
import { batchMoments, type Moments, normalizeBatch } from '@dsconv/core';
import {
  add,
  mul,
  rsqrt,
  type Scalar,
  sub,
  type Tensor1D,
  type Tensor4D,
  tidy,
  type Variable,
  variable,
} from '@tensorflow/tfjs-core';

/** Added to variances, PyTorch's default. */
export const EPSILON = 1e-5;

/** Share of the batch's statistics in the running ones at every step of training. */
export const SHARE = 0.1;

/** Values of a normalization, one per channel. */
export interface NormValues {
  gamma: Float32Array;
  beta: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
}

/** `y = scale * x + shift` in inference. */
export function foldNorm({ gamma, beta, mean: average, variance }: NormValues): {
  scale: Float32Array;
  shift: Float32Array;
} {
  const scale = gamma.map((g, c) => g / Math.sqrt(variance[c]! + EPSILON));
  return { scale, shift: beta.map((b, c) => b - average[c]! * scale[c]!) };
}

/** The variables of one normalization. */
export class BatchNorm {
  readonly gamma: Variable;
  readonly beta: Variable;
  private readonly mean: Variable;
  private readonly variance: Variable;

  constructor(values: { [K in keyof NormValues]: Tensor1D }) {
    this.gamma = variable(values.gamma, true);
    this.beta = variable(values.beta, true);
    this.mean = variable(values.mean, false);
    this.variance = variable(values.variance, false);
  }

  /** @param share how far the running statistics move to those of the batch, which are used then; 0 uses the running ones */
  apply(x: Tensor4D, share: number): Tensor4D {
    const [gamma, beta] = [this.gamma as unknown as Tensor1D, this.beta as unknown as Tensor1D];
    if (share === 0) {
      const factor = mul(gamma, rsqrt(add(this.variance, EPSILON)));
      return add(mul(x, factor), sub(beta, mul(this.mean, factor)));
    }
    const moments = batchMoments(x);
    this.blend(moments, share);
    return normalizeBatch(x, moments, gamma, beta, EPSILON);
  }

  /** Moves the running statistics to `share` of those given; the variance of the samples, `N/(N-1)`, is left out as it hardly matters. */
  blend({ mean: average, variance }: Moments, share: number | Scalar): void {
    tidy(() => {
      this.mean.assign(add(this.mean, mul(sub(average, this.mean), share)));
      this.variance.assign(add(this.variance, mul(sub(variance, this.variance), share)));
    });
  }

  /** `y = scale * x + shift` in inference. */
  async folded(): Promise<{ scale: Float32Array; shift: Float32Array }> {
    const [gamma, beta, average, variance] = (await Promise.all(
      [this.gamma, this.beta, this.mean, this.variance].map((tensor) => tensor.data()),
    )) as [Float32Array, Float32Array, Float32Array, Float32Array];
    return foldNorm({ gamma, beta, mean: average, variance });
  }

  /** By their names in checkpoints. */
  get state(): Record<'gamma' | 'beta' | 'mean' | 'variance', Variable> {
    const { gamma, beta, mean: average, variance } = this;
    return { gamma, beta, mean: average, variance };
  }
}
