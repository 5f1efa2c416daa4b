/** Operations that move values and do not change them. */

import { util } from '@tensorflow/tfjs-core';
import { TraceError } from '../trace.js';
import { type Lowering, made } from './lowering.js';

/** Along any axis: rows are all that lies behind it. */
export const lowerConcat: Lowering = (node, { resolve, alias }) => {
  const inputs = Object.values(node.inputs).filter(({ shape }) => util.sizeFromShape([...shape]) > 0);
  const [output] = node.outputs;
  if (inputs.length === 1) {
    alias(output!, inputs[0]!);
    return null;
  }
  const axis = util.parseAxisParam(node.attributes.axis as number, [...output!.shape])[0]!;
  const channels = inputs.map(({ shape }) => util.sizeFromShape(shape.slice(axis)));
  const pixels = util.sizeFromShape(output!.shape.slice(0, axis));
  return { op: 'concat', inputs: inputs.map(resolve), channels, pixels, ...made(node) };
};

// LayersModel.predict slices its input into batches; with one batch the slice is the whole.
export const lowerSlice: Lowering = (node, { alias }) => {
  const { x } = node.inputs;
  const [output] = node.outputs;
  if (x!.shape.join() !== output!.shape.join()) {
    throw new TraceError(
      `operation Slice of [${output!.shape}] from [${x!.shape}] is not known to plans; expected the whole`,
    );
  }
  alias(output!, x!);
  return null;
};

export const lowerCast: Lowering = (node, { alias }) => {
  const { x } = node.inputs;
  const [output] = node.outputs;
  if (x!.dtype !== output!.dtype) {
    throw new TraceError(`operation Cast from ${x!.dtype} to ${output!.dtype} is not known to plans`);
  }
  alias(output!, x!);
  return null;
};

export const lowerPad: Lowering = (node, { resolve }) => {
  const { x } = node.inputs;
  const paddings = node.attributes.paddings as [number, number][];
  const value = (node.attributes.constantValue as number | undefined) ?? 0;
  const base = { op: 'pad' as const, input: resolve(x!), value, ...made(node) };
  const padded = paddings.flatMap(([before, after], axis) => (before + after > 0 ? [axis] : []));
  if (x!.shape.length === 4 && padded.every((axis) => axis === 1 || axis === 2)) {
    const [batch, height, width, channels] = x!.shape as [number, number, number, number];
    const [[top, bottom], [left, right]] = [paddings[1]!, paddings[2]!];
    return { ...base, batch, height, width, channels, top, bottom, left, right };
  }
  // A border of channels is a border of width where every pixel counts as an image of one row.
  if (padded.every((axis) => axis === x!.shape.length - 1)) {
    const width = x!.shape.at(-1)!;
    const [left, right] = paddings.at(-1)!;
    const batch = util.sizeFromShape([...x!.shape]) / width;
    return { ...base, batch, height: 1, width, channels: 1, top: 0, bottom: 0, left, right };
  }
  throw new TraceError(
    `operation PadV2 of the axes [${padded}] is not known to plans; expected height and width, or the last one`,
  );
};

/** Up to so many rows a product with the unit matrix costs less than what it saves. */
const MOST_TURNED = 16;

/**
 * A permutation that moves axes of length 1 only leaves every value where it is. One that brings a few planes behind their pixels, as from
 * `[batch, 3, height, width]` to `[batch, height, width, 3]`, is a product with a unit matrix, which changes no value.
 */
export const lowerTranspose: Lowering = (node, { alias, resolve }) => {
  const { x } = node.inputs;
  const perm = node.attributes.perm as number[];
  const long = perm.filter((axis) => x!.shape[axis]! > 1);
  if (long.every((axis, n) => n === 0 || axis > long[n - 1]!)) {
    alias(node.outputs[0]!, x!);
    return null;
  }
  const turned = turnedBlocks(x!.shape, long);
  if (!turned || turned.rows > MOST_TURNED) {
    throw new TraceError(
      `operation Transpose of [${x!.shape}] by [${perm}] is not known to plans; expected one that moves axes of length 1, or ${MOST_TURNED} channels at most behind all others`,
    );
  }
  const { batch, rows, columns } = turned;
  const unit = new Float32Array(rows * rows);
  for (let n = 0; n < rows; n++) unit[n * rows + n] = 1;
  return {
    op: 'matMul',
    a: resolve(x!),
    b: unit,
    batch,
    m: columns,
    k: rows,
    n: rows,
    transposeA: true,
    transposeB: false,
    aStride: rows * columns,
    bStride: 0,
    bias: null,
    activation: 'linear',
    leakyreluAlpha: 0,
    slopes: null,
    ...made(node),
  };
};

/** The axes as `[batch, rows, columns]` of which the permutation makes `[batch, columns, rows]`, or null. */
function turnedBlocks(
  shape: readonly number[],
  long: readonly number[],
): { batch: number; rows: number; columns: number } | null {
  const sorted = [...long].sort((a, b) => a - b);
  const start = long.findIndex((axis, n) => axis !== sorted[n]);
  const rest = long.slice(start);
  const cut = rest.indexOf(sorted[start]!);
  const swapped = [...rest.slice(cut), ...rest.slice(0, cut)];
  if (swapped.some((axis, n) => axis !== sorted[start + n])) return null;
  const sizeOf = (axes: readonly number[]): number =>
    axes.reduce((product, axis) => product * shape[axis]!, 1);
  return {
    batch: sizeOf(long.slice(0, start)),
    rows: sizeOf(rest.slice(cut)),
    columns: sizeOf(rest.slice(0, cut)),
  };
}
