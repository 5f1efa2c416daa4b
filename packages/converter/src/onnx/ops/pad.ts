/** Pad in all its modes. */
import { stringAttribute, typeAttribute } from '../../graph/attributes.js';
import { TYPED } from '../builder.js';
import { ints } from '../constant.js';
import { permute } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { gathered } from './gather.js';
import { sliced } from './slice-join.js';

/** Begins and ends of every axis, by version as an attribute or an input. */
function padding(node: NodeContext, rank: number): { begin: number[]; end: number[]; value: number } {
  const asInputs = node.opset >= 11;
  const list = asInputs ? [...node.constant(1, 'its pads').data] : [...node.ints('pads', [])];
  const value = asInputs ? (node.optional(2) ? node.number(2, 'its value') : 0) : node.float('value', 0);
  const axes = (
    asInputs && node.optional(3)
      ? [...node.constant(3, 'its axes').data]
      : Array.from({ length: rank }, (_, n) => n)
  ).map((axis) => node.axis(axis, rank));
  if (list.length !== 2 * axes.length || list.some((n) => !Number.isInteger(n))) {
    node.fail(`has pads [${list.slice(0, 20)}]; expected ${2 * axes.length} integers`);
  }
  const [begin, end] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)];
  for (const [n, axis] of axes.entries()) {
    begin[axis] = list[n]!;
    end[axis] = list[n + axes.length]!;
  }
  return { begin, end, value };
}

const pad: Translate = (node) => {
  const given = node.input(0);
  const { begin, end, value } = padding(node, given.shape.length);
  const mode = node.text('mode', 'constant');
  const cut = given.shape.map((size, n) => {
    const [less, more] = [Math.max(0, -begin[n]!), Math.max(0, -end[n]!)];
    return { start: less, step: 1, count: size - less - more };
  });
  if (cut.some(({ count }) => !(count > 0)))
    node.fail(`cuts all of [${node.builder.describe(given.shape)}] away; expected less`);
  const x = sliced(node, given, cut);
  const borders = x.shape.map((_, n): [number, number] => [Math.max(0, begin[n]!), Math.max(0, end[n]!)]);
  if (borders.every(([a, b]) => a === 0 && b === 0)) return { ...x, name: node.name };
  if (mode === 'edge' || mode === 'wrap') return bordered(node, x, borders, mode);
  const { builder } = node;
  // Padded channels would have to be moved: the border of a picture lies where the picture does.
  const laid = permute(borders, x.order);
  const sizes = builder.constant(`${node.name}/borders`, ints([laid.length, 2], laid.flat()));
  const attr = { ...TYPED, Tpaddings: typeAttribute('DT_INT32') };
  const input = builder.lay(x, x.order);
  const shape = x.shape.map((size, n) => size + borders[n]![0] + borders[n]![1]);
  const { dtype } = x;
  const done = (reference: string, nonNegative: boolean): Value =>
    computed(node.name, reference, shape, x.order, { dtype, nonNegative });
  if (mode === 'reflect') {
    for (const [n, [a, b]] of borders.entries()) {
      if (Math.max(a, b) >= x.shape[n]!)
        node.fail(`reflects ${Math.max(a, b)} of ${x.shape[n]} elements; expected fewer`);
    }
    const reflect = { ...attr, mode: stringAttribute('REFLECT') };
    return done(builder.emit('MirrorPad', [input, sizes], reflect), x.nonNegative);
  }
  if (mode !== 'constant') node.fail(`has mode ${mode}; expected constant, reflect, edge or wrap`);
  const reference =
    value === 0
      ? builder.emit('Pad', [input, sizes], attr)
      : builder.emit(
          'PadV2',
          [input, sizes, builder.scalar(value, dtype === 'int32' ? 'int' : 'float')],
          attr,
        );
  return done(reference, x.nonNegative && value >= 0);
};

/** Borders that repeat what is inside, axis by axis. */
function bordered(
  node: NodeContext,
  x: Value,
  borders: readonly [number, number][],
  mode: 'edge' | 'wrap',
): Value {
  let value = x;
  for (const [axis, [before, after]] of borders.entries()) {
    if (before === 0 && after === 0) continue;
    const size = x.shape[axis]!;
    const indices = Array.from({ length: before + size + after }, (_, n) => {
      const at = n - before;
      return mode === 'edge' ? Math.min(Math.max(at, 0), size - 1) : ((at % size) + size) % size;
    });
    value = gathered(node, value, axis, ints([indices.length], indices));
  }
  return value;
}

export const PADS = { Pad: pad } satisfies Record<string, Translate>;
