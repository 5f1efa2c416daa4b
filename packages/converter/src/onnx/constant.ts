/** Numbers that are known while converting: weights, and shapes that a graph calculates. Row-major, in ONNX's order of axes. */
import { elementCount } from '../graph/stored-weights.js';

export interface Constant {
  kind: 'float' | 'int' | 'bool';
  shape: readonly number[];
  /** Float32Array for 'float'; integers and booleans (0 or 1) as doubles, which hold every size and index exactly. */
  data: Float32Array | Float64Array;
  /** What the file calls the type, such as 'uint8', where it was read from there. */
  type?: string | undefined;
}

export function floats(shape: readonly number[], data: ArrayLike<number>): Constant {
  return { kind: 'float', shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

export function ints(shape: readonly number[], data: ArrayLike<number>): Constant {
  return { kind: 'int', shape, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

/** An array of `count` numbers of a kind. */
export function dataOf(kind: Constant['kind'], count: number): Constant['data'] {
  return kind === 'float' ? new Float32Array(count) : new Float64Array(count);
}

/** Elements from one index to the next along every axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/**
 * Collects elements: the result's axis n runs through `data` in steps of `strides[n]` from `offset`.
 *
 * @param shape of the result
 */
export function gatherStrided(
  { kind, data }: Pick<Constant, 'kind' | 'data'>,
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): Constant['data'] {
  const count = elementCount(shape);
  const result = dataOf(kind, count);
  const rank = shape.length;
  const index = new Array<number>(rank).fill(0);
  let at = offset;
  for (let n = 0; n < count; n++) {
    result[n] = data[at]!;
    for (let axis = rank - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/** @param perm axis n of the result is axis `perm[n]` */
export function transposed(constant: Constant, perm: readonly number[]): Constant {
  if (perm.every((axis, n) => axis === n)) return constant;
  const strides = stridesOf(constant.shape);
  const shape = perm.map((axis) => constant.shape[axis]!);
  const moved = perm.map((axis) => strides[axis]!);
  return { kind: constant.kind, shape, data: gatherStrided(constant, shape, moved) };
}

/** @returns the shape that both have after broadcasting, or null */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] | null {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let n = 0; n < rank; n++) {
    const [x, y] = [a[a.length - rank + n] ?? 1, b[b.length - rank + n] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return null;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** @returns the values repeated to `shape`, which must be one it broadcasts to */
export function broadcastTo(constant: Constant, shape: readonly number[]): Constant {
  if (constant.shape.join() === shape.join()) return constant;
  const own = stridesOf(constant.shape);
  const lead = shape.length - constant.shape.length;
  const strides = shape.map((_, n) => (n < lead || constant.shape[n - lead] === 1 ? 0 : own[n - lead]!));
  return { kind: constant.kind, shape, data: gatherStrided(constant, shape, strides) };
}
