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
 * The order that a reshaped value has when its memory stays as it is, or null when it has to be moved first. Axes that are merged must lie side by
 * side, which height and width do.
 */
export function reshapedOrder(from: readonly number[], order: Order, to: readonly number[]): Order | null {
  const groups = matchAxes(from, to);
  if (!groups) return null;
  // Axes of length 1 lie wherever they like.
  const long = order.filter((axis) => from[axis] !== 1);
  const rankOf = new Map(long.map((axis, n) => [axis, n]));
  const places: number[] = [];
  for (const group of groups) {
    const ranks = group.from.flatMap((axis) => rankOf.get(axis) ?? []);
    if (ranks.some((rank, n) => rank !== ranks[0]! + n)) return null;
    places.push(ranks[0] ?? places.at(-1) ?? -1);
  }
  return byPlace(groups, places).flatMap((group) => group.to);
}

/** An order from which the reshape needs no moving, as near as can be to the one that the value has. */
export function orderForReshape(from: readonly number[], order: Order, to: readonly number[]): Order {
  const groups = matchAxes(from, to);
  if (!groups) return plain(from.length);
  const places: number[] = [];
  for (const group of groups) {
    const own = group.from.filter((axis) => from[axis] !== 1).map((axis) => order.indexOf(axis));
    places.push(own.length > 0 ? Math.min(...own) : (places.at(-1) ?? -1));
  }
  return byPlace(groups, places).flatMap((group) => group.from);
}

function byPlace<T>(groups: readonly T[], places: readonly number[]): T[] {
  return groups
    .map((group, n) => ({ group, n }))
    .sort((a, b) => places[a.n]! - places[b.n]! || a.n - b.n)
    .map(({ group }) => group);
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
