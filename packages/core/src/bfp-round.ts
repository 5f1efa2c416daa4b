/** Rounding of activations to block floating point as an operator of its own, with a gradient: what training needs. NUMERICS §3, §6. */
import {
  abs,
  add,
  cast,
  customGrad,
  div,
  engine,
  floor,
  getBackend,
  getKernel,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  logicalNot,
  max,
  mul,
  pad,
  pow,
  reshape,
  round,
  scalar,
  slice,
  sub,
  type Tensor,
  tidy,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { type BfpFormat, checkBfpFormat, MIN_EXPONENT } from './bfp.js';
import { InvalidArgumentError } from './errors.js';

/** Kernel `(x) → x̂`, float32 in and out; attributes are a `Required<BfpFormat>`. Optional: without it stock operators serve. */
export const BFP_ROUND = 'BFPRound';

/** Kernel `(x, dy) → dx` with the same attributes: `dy` where the clamp changes nothing, 0 where it does. Optional too. */
export const BFP_ROUND_GRADIENT = 'BFPRoundGradient';

/**
 * Rounds a tensor to a BFP grid along its last axis: `x̂ = M * scale` of NUMERICS §3, as float32.
 *
 * The gradient is the identity where the rounded mantissa lies within ±(2^(m-1)-1), and zero where the clamp holds it there (NUMERICS §6).
 *
 * @param x float32, channels last
 * @throws InvalidArgumentError when the format does not fit the channels, or x is not float32
 */
export function bfpRound<T extends Tensor>(x: T, format: BfpFormat): T {
  const channels = x.shape.at(-1) ?? 1;
  if (x.dtype !== 'float32' || x.rank === 0) {
    throw new InvalidArgumentError(
      `x is ${x.dtype} of shape [${x.shape}]; expected float32 with channels as its last axis`,
    );
  }
  checkBfpFormat(format, channels, 'format');
  const attributes: Required<BfpFormat> = { groups: 1, ...format };
  const operator = customGrad((...args: unknown[]) => {
    const [input, save] = args as [Tensor, (tensors: Tensor[]) => void];
    save([input]);
    const value = run(BFP_ROUND, { x: input }, attributes) ?? roundComposite(input, attributes);
    const gradFunc = (dy: Tensor, [saved]: Tensor[]): Tensor =>
      run(BFP_ROUND_GRADIENT, { x: saved!, dy }, attributes) ?? gradientComposite(saved!, dy, attributes);
    return { value, gradFunc };
  });
  return operator(x) as T;
}

/** The current backend's kernel, or null where it has none. */
function run(kernel: string, inputs: Record<string, Tensor>, attributes: Required<BfpFormat>): Tensor | null {
  if (!getKernel(kernel, getBackend())) return null;
  return engine().runKernel(kernel, inputs, attributes as never) as Tensor;
}

interface Blocks {
  /** `[pixels * groups, blocks, B]`, the last block filled up with zeros. */
  values: Tensor;
  /** `2^(E-(m-2))`, `[pixels * groups, blocks, 1]`. */
  scale: Tensor;
  /** Where the block counts as zero, in the shape of `scale`. */
  isZero: Tensor;
  restore(blocks: Tensor): Tensor;
}

function toBlocks(x: Tensor, { bits, blockSize, groups }: Required<BfpFormat>): Blocks {
  const channels = x.shape.at(-1)!;
  const depth = channels / groups;
  const size = Math.min(blockSize, depth);
  const count = Math.ceil(depth / size);
  const rows = x.size / depth;
  const missing = count * size - depth;
  const flat = reshape(x, [rows, depth]);
  const whole =
    missing === 0
      ? flat
      : pad(flat, [
          [0, 0],
          [0, missing],
        ]);
  const values = reshape(whole, [rows, count, size]);
  const largest = max(abs(values), 2, true);
  const isZero = less(largest, 2 ** MIN_EXPONENT);
  const two = scalar(2);
  // log() is not exact: its floor may be one off next to a power of two, which the powers themselves tell.
  const guess = floor(mul(log(where(isZero, scalar(1), largest)), Math.LOG2E)) as Tensor;
  const power = pow(two, guess);
  const lower = where(less(largest, power), mul(power, 0.5), power);
  const exact = where(greaterEqual(largest, mul(lower, 2)), mul(lower, 2), lower);
  return {
    values,
    scale: mul(exact, 2 ** (2 - bits)),
    isZero,
    restore: (blocks) => {
      const joined = reshape(blocks, [rows, count * size]);
      return reshape(missing === 0 ? joined : slice(joined, [0, 0], [rows, depth]), x.shape);
    },
  };
}

function roundComposite(x: Tensor, format: Required<BfpFormat>): Tensor {
  return tidy(() => {
    const { values, scale, isZero, restore } = toBlocks(x, format);
    const limit = 2 ** (format.bits - 1) - 1;
    const nearest = round(div(values, scale));
    // Not clipByValue and not min/max: NaN must stay NaN.
    const upper = where(greaterEqual(nearest, limit), scalar(limit), nearest);
    const mantissa = where(lessEqual(upper, -limit), scalar(-limit), upper);
    // An infinity anywhere makes its whole block NaN, as inf - inf does.
    const poison = sub(scale, scale);
    const rounded = add(mul(mantissa, scale), poison);
    return restore(where(isZero, zerosLike(rounded), rounded));
  });
}

function gradientComposite(x: Tensor, dy: Tensor, format: Required<BfpFormat>): Tensor {
  return tidy(() => {
    const { values, scale, isZero, restore } = toBlocks(x, format);
    const clamped = logicalAnd(
      greaterEqual(abs(values), mul(scale, 2 ** (format.bits - 1) - 0.5)),
      logicalNot(isZero),
    );
    return where(greater(restore(cast(clamped, 'float32')), 0), zerosLike(dy), dy);
  });
}
