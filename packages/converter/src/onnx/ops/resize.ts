/** Resize and Upsample. */
import { type Attributes, boolAttribute, typeAttribute } from '../../graph/attributes.js';
import { ints } from '../constant.js';
import { channelsLast } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { gathered } from './gather.js';

/** One spatial axis: its sizes, and how often an output pixel comes for one of the input. */
interface Axis {
  from: number;
  to: number;
  scale: number;
}

interface Resizing {
  axes: Axis[];
  mode: string;
  coordinates: string;
  nearest: string;
}

const resize: Translate = (node) => {
  const x = node.input(0);
  node.rank(x, 4);
  const all = axesOf(node, x);
  if (all.slice(0, 2).some(({ from, to }) => from !== to)) {
    node.fail(`resizes [${x.shape}] to [${all.map(({ to }) => to)}]; expected height and width only`);
  }
  const isUpsample = node.proto.op === 'Upsample' || node.opset < 11;
  const resizing: Resizing = {
    axes: all.slice(2),
    mode: node.text('mode', 'nearest'),
    coordinates: isUpsample ? 'asymmetric' : node.text('coordinate_transformation_mode', 'half_pixel'),
    nearest: isUpsample ? 'floor' : node.text('nearest_mode', 'round_prefer_floor'),
  };
  const { axes, mode } = resizing;
  if (axes.every(({ from, to, scale }) => from === to && scale === 1)) return { ...x, name: node.name };
  if (node.int('antialias', 0) === 1 && axes.some(({ scale }) => scale < 1)) {
    node.fail('has antialias 1; expected 0, as TensorFlow.js has no filter for it');
  }
  if (node.int('exclude_outside', 0) === 1) node.fail('has exclude_outside 1; expected 0');
  if (mode === 'nearest') return nearest(node, x, resizing);
  if (mode === 'linear' || mode === 'bilinear') return linear(node, x, resizing);
  return node.fail(`has mode ${mode}; expected nearest or linear, as TensorFlow.js has no other`);
};

/** Sizes out of scales or sizes, for all axes or for some. */
function axesOf(node: NodeContext, x: Value): Axis[] {
  const rank = x.shape.length;
  const isUpsample = node.proto.op === 'Upsample' || node.opset < 11;
  const given = node.proto.attributes.get('axes')?.integers;
  const axes = (given ?? x.shape.map((_, n) => n)).map((axis) => node.axis(axis, rank));
  const policy = node.text('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') node.fail(`has keep_aspect_ratio_policy ${policy}; expected stretch`);
  const list = (n: number, what: string): number[] | null => {
    const value = node.optional(n);
    if (!value || value.shape[0] === 0) return null;
    const data = [...node.constant(n, what).data];
    if (data.length !== axes.length)
      node.fail(`has ${data.length} numbers of ${what}; expected ${axes.length}`);
    return data;
  };
  const attribute = node.proto.attributes.get('scales')?.floats;
  const scales = attribute ?? list(isUpsample ? 1 : 2, 'its scales');
  const sizes = isUpsample ? null : list(3, 'its sizes');
  if (!scales && !sizes) node.fail('has neither scales nor sizes; expected one of them');
  const result = x.shape.map((from): Axis => ({ from, to: from, scale: 1 }));
  for (const [n, axis] of axes.entries()) {
    const from = x.shape[axis]!;
    const scale = sizes ? sizes[n]! / from : scales![n]!;
    if (!(scale > 0)) node.fail(`scales axis ${axis} by ${scale}; expected a number above 0`);
    result[axis] = { from, to: sizes ? sizes[n]! : Math.floor(from * scale), scale };
  }
  return result;
}

/** Where the middle of output pixel n lies in the input. */
function position({ from, to, scale }: Axis, n: number, coordinates: string): number | null {
  switch (coordinates) {
    case 'half_pixel':
      return (n + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return to > 1 ? (n + 0.5) / scale - 0.5 : 0;
    case 'align_corners':
      return to > 1 ? (n * (from - 1)) / (to - 1) : 0;
    case 'asymmetric':
      return n / scale;
    case 'tf_half_pixel_for_nn':
      return (n + 0.5) / scale;
    case 'half_pixel_symmetric': {
      const adjustment = to / (scale * from);
      return (from / 2) * (1 - adjustment) + (n + 0.5) / scale - 0.5;
    }
    default:
      return null;
  }
}

const ROUND: Readonly<Record<string, (value: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_floor: (value) => Math.ceil(value - 0.5),
  round_prefer_ceil: (value) => Math.floor(value + 0.5),
};

/** Every rule for the nearest pixel ends in a list of indices; the one of TensorFlow.js is an operator. */
function nearest(node: NodeContext, x: Value, { axes, coordinates, nearest: rule }: Resizing): Value {
  const round =
    ROUND[rule] ?? node.fail(`has nearest_mode ${rule}; expected ${Object.keys(ROUND).join(', ')}`);
  const lists = axes.map((axis) =>
    Array.from({ length: axis.to }, (_, n) => {
      const at = position(axis, n, coordinates) ?? node.fail(unknownCoordinates(coordinates));
      return Math.min(Math.max(round(at), 0), axis.from - 1);
    }),
  );
  const isFloor = axes.every(({ from, to }, a) =>
    lists[a]!.every((at, n) => at === Math.floor(n * (from / to))),
  );
  if (isFloor) return resized(node, x, 'ResizeNearestNeighbor', axes, false, false);
  return lists.reduce((value, list, n) => gathered(node, value, n + 2, ints([list.length], list)), x);
}

function linear(node: NodeContext, x: Value, { axes, coordinates }: Resizing): Value {
  // TensorFlow.js knows sizes only: a scale that is not their ratio would be another one there.
  const isRatio = axes.every(({ from, to, scale }) => Math.abs((from * scale) / to - 1) < 1e-6);
  const flags: Readonly<Record<string, [boolean, boolean]>> = {
    align_corners: [true, false],
    half_pixel: [false, true],
    half_pixel_symmetric: [false, true],
    pytorch_half_pixel: [false, true],
    asymmetric: [false, false],
  };
  const found = flags[coordinates] ?? node.fail(unknownCoordinates(coordinates));
  if (!isRatio && coordinates !== 'align_corners') {
    node.fail(
      `scales [${axes.map(({ from }) => from)}] by [${axes.map(({ scale }) => scale)}] to [${axes.map(({ to }) => to)}]; expected scales that give whole sizes`,
    );
  }
  if (coordinates === 'pytorch_half_pixel' && axes.some(({ to }) => to === 1)) {
    node.fail('has coordinates pytorch_half_pixel for one pixel; expected more pixels or half_pixel');
  }
  return resized(node, x, 'ResizeBilinear', axes, ...found);
}

const unknownCoordinates = (coordinates: string): string =>
  `has coordinate_transformation_mode ${coordinates}; expected half_pixel, pytorch_half_pixel, align_corners or asymmetric`;

function resized(
  node: NodeContext,
  x: Value,
  op: string,
  axes: readonly Axis[],
  alignCorners: boolean,
  halfPixel: boolean,
): Value {
  const { builder } = node;
  const [height, width] = axes as [Axis, Axis];
  const attr: Attributes = {
    T: typeAttribute('DT_FLOAT'),
    align_corners: boolAttribute(alignCorners),
    half_pixel_centers: boolAttribute(halfPixel),
  };
  const inputs = [builder.lay(x, channelsLast(4)), builder.vector([height.to, width.to])];
  const shape = [x.shape[0]!, x.shape[1]!, height.to, width.to];
  const { nonNegative, quantized } = x;
  return computed(node.name, builder.emit(op, inputs, attr), shape, channelsLast(4), {
    nonNegative,
    quantized,
  });
}

export const RESIZE = { Resize: resize, Upsample: resize } satisfies Record<string, Translate>;
