/** Rounding of filters with TensorFlow.js operators, for backends whose tensors live elsewhere. Computes what `host.ts` does. */
import {
  add,
  clipByValue,
  divNoNan,
  equal,
  greaterEqual,
  lessEqual,
  logicalAnd,
  max,
  min,
  mul,
  pad,
  reshape,
  round,
  scalar,
  slice,
  sub,
  sum,
  type Tensor,
  type Tensor3D,
  type Tensor4D,
  tidy,
  where,
} from '@tensorflow/tfjs-core';
import { range } from './host.js';
import { groupingOf, type Partition } from './partition.js';

/** Rows that share scales together: `[groups, rows of a group, outputs]`; short last blocks are filled up with zeros, which are exact. */
function toGroups(w: Tensor4D, partition: Partition): Tensor3D {
  const { rows, outputs, depth, blocks } = groupingOf(partition);
  if (blocks === 0) return reshape(w, [1, rows, outputs]);
  const { blockSize } = partition;
  const taps = rows / depth;
  const missing = blocks * blockSize - depth;
  const byTap = reshape(w, [taps, depth, outputs]);
  const whole =
    missing === 0
      ? byTap
      : pad(byTap, [
          [0, 0],
          [0, missing],
          [0, 0],
        ]);
  return reshape(whole, [taps * blocks, blockSize, outputs]);
}

function fromGroups(grouped: Tensor, partition: Partition): Tensor4D {
  const { rows, outputs, depth, blocks } = groupingOf(partition);
  const shape = [...partition.shape] as [number, number, number, number];
  if (blocks === 0) return reshape(grouped, shape);
  const taps = rows / depth;
  const whole = reshape(grouped, [taps, blocks * partition.blockSize, outputs]);
  return reshape(slice(whole, [0, 0, 0], [taps, depth, outputs]), shape);
}

/** Scales `[groups, 1, outputs]`. */
function spread(scales: Tensor, partition: Partition): Tensor3D {
  const { outputs } = groupingOf(partition);
  return reshape(scales, [scales.size / outputs, 1, outputs]);
}

interface Rounded {
  /** `(w - kdsBias) / kds`. */
  quotient: Tensor;
  /** Rounded, not clamped. */
  nearest: Tensor;
  q: Tensor;
}

/**
 * Rounds to the 11 significant bits of float16 (Dekker's splitting: what is lost by adding and taking away a multiple). Scales so small that float16
 * has fewer bits for them keep theirs.
 */
function toStored(scales: Tensor, { scaleFormat }: Partition): Tensor {
  if (scaleFormat === 'float32') return scales;
  const multiple = mul(scales, 2 ** 13 + 1);
  return sub(multiple, sub(multiple, scales));
}

function roundGroups(
  w: Tensor4D,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): Rounded {
  const grouped = toGroups(w, partition);
  const shifted = kdsBias ? sub(grouped, spread(kdsBias, partition)) : grouped;
  const quotient = divNoNan(shifted, spread(kds, partition));
  const nearest = round(quotient);
  return { quotient, nearest, q: clipByValue(nearest, ...range(bits)) };
}

/** `ŵ = kds * clamp(round((w - kdsBias) / kds)) + kdsBias`. */
export function fakeQuantizeComposite(
  w: Tensor4D,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): Tensor4D {
  return tidy(() => {
    const scales = toStored(kds, partition);
    const shifts = kdsBias && toStored(kdsBias, partition);
    const { q } = roundGroups(w, scales, shifts, bits, partition);
    const scaled = mul(q, spread(scales, partition));
    return fromGroups(shifts ? add(scaled, spread(shifts, partition)) : scaled, partition);
  });
}

/** Gradients of {@link fakeQuantizeComposite}: by weights, scales and shifts, the latter in the shape of the scales. */
export function gradientsComposite(
  dy: Tensor4D,
  w: Tensor4D,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): { dw: Tensor4D; dkds: Tensor; dkdsBias: Tensor } {
  return tidy(() => {
    const shifts = kdsBias && toStored(kdsBias, partition);
    const { quotient, nearest, q } = roundGroups(w, toStored(kds, partition), shifts, bits, partition);
    const [low, high] = range(bits);
    const inside = logicalAnd(greaterEqual(nearest, low), lessEqual(nearest, high));
    const d: Tensor = toGroups(dy, partition);
    const nothing: Tensor = scalar(0);
    const outside = where(inside, nothing, d);
    return {
      dw: fromGroups(where(inside, d, nothing), partition),
      dkds: reshape(sum(mul(d, where(inside, sub(q, quotient), q)), 1), kds.shape),
      dkdsBias: reshape(sum(outside, 1), kds.shape),
    };
  });
}

/** One step of alternating least squares, as `refitOnHost`. */
export function refitComposite(w: Tensor4D, kds: Tensor, bits: number, partition: Partition): Tensor {
  return tidy(() => {
    const grouped = toGroups(w, partition);
    const { q } = roundGroups(w, toStored(kds, partition), null, bits, partition);
    const squares = sum(mul(q, q), 1);
    const fitted = divNoNan(sum(mul(grouped, q), 1), squares);
    // The signed extreme maps to -2^(b-1).
    const [upper, lower] = [max(grouped, 1), min(grouped, 1)];
    const fresh = mul(where(greaterEqual(add(upper, lower), 0), upper, lower), -(2 ** (1 - bits)));
    return toStored(reshape(where(equal(squares, 0), fresh, fitted), kds.shape), partition);
  });
}
