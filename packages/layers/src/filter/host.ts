/**
 * Rounding of filters on the host's own memory, for backends whose tensors live there: a pass over the weights instead of a dozen operators.
 * `composite.ts` computes the same with TensorFlow.js operators.
 */
import {
  type QuantizeOptions,
  quantizeDepthwiseFilter,
  quantizeFilter,
  roundHalfEven,
  roundToFloat16IfClose,
} from '@dsconv/core';
import { groupingOf, type Partition } from './partition.js';

/** What `ŵ = kds * q + kdsBias` is made with. Arrays as {@link scaleShape} says. */
export interface HostScales {
  kds: Float32Array;
  kdsBias: Float32Array | null;
}

/** Visits the rows of a filter with the place of their scales. */
export function eachRow(partition: Partition, visit: (row: number, scales: number) => void): void {
  const { rows, outputs, depth, blocks } = groupingOf(partition);
  for (let row = 0; row < rows; row++) {
    const i = row % depth;
    const group = blocks === 0 ? 0 : ((row - i) / depth) * blocks + Math.floor(i / partition.blockSize);
    visit(row * outputs, group * outputs);
  }
}

/** The integers `q = clamp(roundHalfEven((w - kdsBias) / kds))`, in the order of the filter's shape; 0 where the scale is 0. */
export function roundOnHost(
  w: Float32Array,
  scales: HostScales,
  bits: number,
  partition: Partition,
): Int8Array {
  const { outputs } = groupingOf(partition);
  const [low, high] = range(bits);
  const q = new Int8Array(w.length);
  eachRow(partition, (at, s) => {
    for (let o = 0; o < outputs; o++) {
      const value = unclamped(w[at + o]!, scales, s + o);
      q[at + o] = value < low ? low : value > high ? high : value;
    }
  });
  return q;
}

/** `ŵ` of integers and scales. */
export function dequantizeOnHost(
  q: Int8Array,
  { kds, kdsBias }: HostScales,
  partition: Partition,
): Float32Array {
  const { outputs } = groupingOf(partition);
  const w = new Float32Array(q.length);
  eachRow(partition, (at, s) => {
    for (let o = 0; o < outputs; o++) {
      w[at + o] = Math.fround(kds[s + o]! * q[at + o]!) + (kdsBias ? kdsBias[s + o]! : 0);
    }
  });
  return w;
}

/** Gradients of {@link fakeQuantize} by weights, scales and shifts; formulas there. */
export function gradientsOnHost(
  dy: Float32Array,
  w: Float32Array,
  scales: HostScales,
  bits: number,
  partition: Partition,
): { dw: Float32Array; dkds: Float32Array; dkdsBias: Float32Array } {
  const { outputs } = groupingOf(partition);
  const [low, high] = range(bits);
  const dw = new Float32Array(w.length);
  const dkds = new Float32Array(scales.kds.length);
  const dkdsBias = new Float32Array(scales.kds.length);
  eachRow(partition, (at, s) => {
    for (let o = 0; o < outputs; o++) {
      const value = unclamped(w[at + o]!, scales, s + o);
      const d = dy[at + o]!;
      if (value >= low && value <= high) {
        dw[at + o] = d;
        const kds = scales.kds[s + o]!;
        if (kds !== 0) {
          dkds[s + o]! += d * (value - (w[at + o]! - (scales.kdsBias ? scales.kdsBias[s + o]! : 0)) / kds);
        }
      } else {
        dkds[s + o]! += d * (value < low ? low : high);
        dkdsBias[s + o]! += d;
      }
    }
  });
  return { dw, dkds, dkdsBias };
}

/**
 * One step of alternating least squares: the integers for the scales given, then the best scales for those integers, `Σ w q / Σ q²`, rounded to
 * float16. The error never grows, but for that rounding. A block whose scale is 0 although its weights are not is fitted from scratch.
 */
export function refitOnHost(
  w: Float32Array,
  kds: Float32Array,
  bits: number,
  partition: Partition,
): Float32Array {
  const { outputs } = groupingOf(partition);
  const q = roundOnHost(w, { kds, kdsBias: null }, bits, partition);
  const wq = new Float64Array(kds.length);
  const qq = new Float64Array(kds.length);
  const largest = new Float64Array(kds.length);
  eachRow(partition, (at, s) => {
    for (let o = 0; o < outputs; o++) {
      const value = w[at + o]!;
      const integer = q[at + o]!;
      wq[s + o]! += value * integer;
      qq[s + o]! += integer * integer;
      if (Math.abs(value) > Math.abs(largest[s + o]!)) largest[s + o] = value;
    }
  });
  const fitted = kds.map((_, n) => (qq[n] === 0 ? largest[n]! / -(2 ** (bits - 1)) : wq[n]! / qq[n]!));
  return asStored(fitted, partition);
}

/** Scales, and shifts where asked for, as core's quantizer fits them to the weights. */
export function fitOnHost(
  w: Float32Array,
  bits: number,
  partition: Partition,
  options: Pick<QuantizeOptions, 'kdsBias' | 'name'> = {},
): HostScales {
  const { kind, shape, blockSize, perChannel } = partition;
  const { name, kdsBias = false } = options;
  const common = { bits, blockSize, ...(name === undefined ? {} : { name }) };
  const filter =
    kind === 'depthwise'
      ? quantizeDepthwiseFilter(w, shape, common)
      : quantizeFilter(w, shape, { ...common, perChannel, kdsBias });
  const scales = { kds: filter.scales(perChannel ? 'cds' : 'kds')!, kdsBias: filter.scales('kdsBias') };
  filter.dispose();
  return scales;
}

/** Scales or shifts as files will store them: as float16 where the filter does so and that is close enough. */
export function asStored(values: Float32Array, { scaleFormat }: Partition): Float32Array {
  return scaleFormat === 'float32' ? values : values.map(roundToFloat16IfClose);
}

/** The rounded quotient before the clamp. */
function unclamped(w: number, { kds, kdsBias }: HostScales, s: number): number {
  const scale = kds[s]!;
  if (scale === 0) return 0;
  const shifted = kdsBias ? Math.fround(w - kdsBias[s]!) : w;
  return roundHalfEven(Math.fround(shifted / scale));
}

/** Smallest and largest integer of a width. */
export function range(bits: number): [number, number] {
  return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}
