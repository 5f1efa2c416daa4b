/**
 * Where ONNX has channels second, TensorFlow.js has them last. A value keeps ONNX's axes in its shape, and an order says how they lie in memory: stored
 * axis n is ONNX's axis `order[n]`. A Transpose of ONNX then only changes the order, and reshapes carry it along where they can.
 */

export type Order = readonly number[];

/** ONNX's own order. */
export function plain(rank: number): Order {
  return Array.from({ length: rank }, (_, n) => n);
}

/** Batch, space, channels; below three dimensions the same as {@link plain}. */
export function channelsLast(rank: number): Order {
  return rank < 3 ? plain(rank) : [0, ...plain(rank).slice(2), 1];
}

export function permute<T>(list: readonly T[], order: Order): T[] {
  return order.map((axis) => list[axis]!);
}

/** The order in which `last` comes last and the others stay as they are in `order`. */
export function withLast(order: Order, last: number): Order {
  return order.at(-1) === last ? order : [...order.filter((axis) => axis !== last), last];
}

/** True where only axes of length 1 lie differently: memory is the same. */
export function isSameMemory(shape: readonly number[], a: Order, b: Order): boolean {
  const long = (order: Order): string => order.filter((axis) => shape[axis] !== 1).join();
  return long(a) === long(b);
}

/**
 * The order that a reshaped value has when its memory stays as it is, or null when it has to be in ONNX's order first. Axes that are merged must
 * lie side by side, which height and width do.
 */
export function reshapedOrder(from: readonly number[], order: Order, to: readonly number[]): Order | null {
  const groups = matchAxes(from, to);
  if (!groups) return null;
  const position = new Map(order.map((axis, n) => [axis, n]));
  const placed: { at: number; to: number[] }[] = [];
  // Axes of length 1 lie wherever they like.
  const long = order.filter((axis) => from[axis] !== 1);
  const rankOf = new Map(long.map((axis, n) => [axis, n]));
  for (const group of groups) {
    const axes = group.from.filter((axis) => from[axis] !== 1);
    const first = axes.length === 0 ? null : rankOf.get(axes[0]!)!;
    if (axes.some((axis, n) => rankOf.get(axis) !== first! + n)) return null;
    const at = first === null ? (placed.at(-1)?.at ?? -1) : position.get(axes[0]!)!;
    placed.push({ at, to: group.to });
  }
  const sorted = placed.map((group, n) => ({ ...group, n })).sort((a, b) => a.at - b.at || a.n - b.n);
  return sorted.flatMap((group) => group.to);
}

/** Splits two shapes into runs of axes with the same number of elements, as small as possible; null where a length is 0. */
function matchAxes(
  from: readonly number[],
  to: readonly number[],
): { from: number[]; to: number[] }[] | null {
  if (from.includes(0) || to.includes(0)) return null;
  const groups: { from: number[]; to: number[] }[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const group = { from: [] as number[], to: [] as number[] };
    let [a, b] = [1, 1];
    const takeFrom = (): void => {
      a *= from[i]!;
      group.from.push(i++);
    };
    const takeTo = (): void => {
      b *= to[j]!;
      group.to.push(j++);
    };
    if (i < from.length) takeFrom();
    if (j < to.length) takeTo();
    while (a !== b) {
      if (a < b && i < from.length) takeFrom();
      else if (b < a && j < to.length) takeTo();
      else return null;
    }
    groups.push(group);
  }
  return groups;
}
