/** Batch normalization with the statistics of the batch, and the running ones that inference uses. */
import {
  add,
  customGrad,
  mean,
  mul,
  rsqrt,
  type Scalar,
  square,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
  tidy,
  type Variable,
  variable,
} from '@tensorflow/tfjs-core';

/** Over batch, height and width. */
const AXES = [0, 1, 2];

/** Added to variances, PyTorch's default. */
export const EPSILON = 1e-5;

/** Share of the batch's statistics in the running ones at every step of training. */
export const SHARE = 0.1;

export interface Moments {
  mean: Tensor1D;
  variance: Tensor1D;
}

/** Mean and variance (of the population) of every channel. */
export function momentsOf(x: Tensor4D): Moments {
  return tidy(() => {
    const average = mean(x, AXES) as Tensor1D;
    return { mean: average, variance: mean(square(sub(x, average)), AXES) as Tensor1D };
  });
}

/**
 * `γ (x - μ) / √(σ² + ε) + β` with the batch's own μ and σ², through which the gradient goes too (Ioffe and Szegedy, arXiv 1502.03167, section 3):
 *
 *     x̂ = (x - μ) r,  r = 1/√(σ² + ε),   ∂β = Σ dy,   ∂γ = Σ dy x̂,   ∂x = γ r (dy - ∂β/N - x̂ ∂γ/N)
 */
export function normalizeBatch(
  x: Tensor4D,
  { mean: mu, variance }: Moments,
  gamma: Tensor1D,
  beta: Tensor1D,
): Tensor4D {
  const count = x.size / x.shape[3];
  const operator = customGrad((...args: unknown[]) => {
    const [input, scale, shift, save] = args as [Tensor, Tensor, Tensor, (tensors: Tensor[]) => void];
    const inverse = rsqrt(add(variance, EPSILON));
    const factor = mul(inverse, scale);
    save([input, scale, mu, inverse]);
    const value = add(mul(input, factor), sub(shift, mul(mu, factor)));
    const gradFunc = (dy: Tensor, [savedX, savedScale, savedMu, savedInverse]: Tensor[]): Tensor[] => {
      const normalized = mul(sub(savedX!, savedMu!), savedInverse!);
      const dBeta = sum(dy, AXES);
      const dGamma = sum(mul(dy, normalized), AXES);
      const centred = sub(sub(dy, mul(dBeta, 1 / count)), mul(normalized, mul(dGamma, 1 / count)));
      return [mul(centred, mul(savedScale!, savedInverse!)), dGamma, dBeta];
    };
    return { value, gradFunc };
  });
  return operator(x, gamma, beta) as Tensor4D;
}

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
    const moments = momentsOf(x);
    this.blend(moments, share);
    return normalizeBatch(x, moments, gamma, beta);
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
