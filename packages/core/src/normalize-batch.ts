/** Batch normalization with the statistics of the batch, as an operator with a gradient: what training needs. */
import {
  add,
  customGrad,
  engine,
  getBackend,
  getKernel,
  mean,
  mul,
  rsqrt,
  square,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  tidy,
} from '@tensorflow/tfjs-core';
import { InvalidArgumentError } from './errors.js';

/** Kernel `(x) → [mean, variance]` of every channel; channels last, float32. Optional: without it stock operators serve. */
export const BATCH_MOMENTS = 'BatchMoments';

/** Kernel `(x, mean, variance, gamma, beta) → y` with the attribute `epsilon`. Optional too. */
export const BATCH_NORMALIZE = 'BatchNormalize';

/** Kernel `(x, dy, mean, variance, gamma) → [dx, dgamma, dbeta]` with the attribute `epsilon`, for statistics of x itself. Optional too. */
export const BATCH_NORM_GRADIENT = 'BatchNormGradient';

/** Statistics of every channel. */
export interface Moments {
  mean: Tensor1D;
  /** Of the population: the mean squared deviation. */
  variance: Tensor1D;
}

const axesOf = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, axis) => axis);

/** Mean and variance of every channel of `x`, channels last. They have no gradient. */
export function batchMoments(x: Tensor): Moments {
  checkChannels(x);
  const native = runAll(BATCH_MOMENTS, { x }, {});
  if (native) return { mean: native[0] as Tensor1D, variance: native[1] as Tensor1D };
  return tidy(() => {
    const axes = axesOf(x);
    const average = mean(x, axes) as Tensor1D;
    return { mean: average, variance: mean(square(sub(x, average)), axes) as Tensor1D };
  });
}

/**
 * `γ (x - μ) / √(σ² + ε) + β` with the batch's own μ and σ², through which the gradient goes too (Ioffe and Szegedy, arXiv 1502.03167, section 3):
 *
 *     x̂ = (x - μ) r,  r = 1/√(σ² + ε),   ∂β = Σ dy,   ∂γ = Σ dy x̂,   ∂x = γ r (dy - ∂β/N - x̂ ∂γ/N)
 *
 * @param x float32, channels last
 * @param moments those of x, as `batchMoments` gives them
 * @param gamma `[channels]`
 * @param beta `[channels]`
 */
export function normalizeBatch<T extends Tensor>(
  x: T,
  moments: Moments,
  gamma: Tensor1D,
  beta: Tensor1D,
  epsilon: number,
): T {
  const channels = checkChannels(x);
  for (const [name, tensor] of Object.entries({ ...moments, gamma, beta })) {
    if (tensor.size === channels && tensor.rank === 1) continue;
    throw new InvalidArgumentError(
      `${name} has shape [${tensor.shape}]; expected [${channels}] like x's channels`,
    );
  }
  const operator = customGrad((...args: unknown[]) => {
    const [input, scale, shift, save] = args as [Tensor, Tensor, Tensor, (tensors: Tensor[]) => void];
    save([input, scale, moments.mean, moments.variance]);
    const inputs = { x: input, ...moments, gamma: scale, beta: shift };
    const value = runAll(BATCH_NORMALIZE, inputs, { epsilon })?.[0] ?? normalizeComposite(inputs, epsilon);
    const gradFunc = (dy: Tensor, [savedX, savedGamma, average, variance]: Tensor[]): Tensor[] => {
      const saved = { x: savedX!, dy, mean: average!, variance: variance!, gamma: savedGamma! };
      return runAll(BATCH_NORM_GRADIENT, saved, { epsilon }) ?? gradientComposite(saved, epsilon);
    };
    return { value, gradFunc };
  });
  return operator(x, gamma, beta) as T;
}

/** @throws InvalidArgumentError unless x is float32 with at least one row of channels */
function checkChannels(x: Tensor): number {
  if (x.dtype === 'float32' && x.rank >= 2 && x.size > 0) return x.shape.at(-1)!;
  throw new InvalidArgumentError(
    `x is ${x.dtype} of shape [${x.shape}]; expected float32 with channels as its last axis, and at least one row of them`,
  );
}

/** What the current backend's kernel gives, or null where it has none. */
function runAll(
  kernel: string,
  inputs: Record<string, Tensor>,
  attributes: Record<string, number>,
): Tensor[] | null {
  if (!getKernel(kernel, getBackend())) return null;
  const outputs = engine().runKernel(kernel, inputs as never, attributes as never) as Tensor | Tensor[];
  return Array.isArray(outputs) ? outputs : [outputs];
}

function normalizeComposite(
  { x, mean: average, variance, gamma, beta }: Record<'x' | 'mean' | 'variance' | 'gamma' | 'beta', Tensor>,
  epsilon: number,
): Tensor {
  const factor = mul(rsqrt(add(variance, epsilon)), gamma);
  return add(mul(x, factor), sub(beta, mul(average, factor)));
}

function gradientComposite(
  { x, dy, mean: average, variance, gamma }: Record<'x' | 'dy' | 'mean' | 'variance' | 'gamma', Tensor>,
  epsilon: number,
): Tensor[] {
  const axes = axesOf(x);
  const share = x.shape.at(-1)! / x.size;
  const inverse = rsqrt(add(variance, epsilon));
  const normalized = mul(sub(x, average), inverse);
  const dBeta = sum(dy, axes);
  const dGamma = sum(mul(dy, normalized), axes);
  const centred = sub(sub(dy, mul(dBeta, share)), mul(normalized, mul(dGamma, share)));
  return [mul(centred, mul(gamma, inverse)), dGamma, dBeta];
}
