/** Normalizations and softmax. */
import {
  boolAttribute,
  floatAttribute,
  intAttribute,
  stringAttribute,
  typeAttribute,
} from '../../graph/attributes.js';
import { elementCount } from '../../graph/stored-weights.js';
import { type Constant, floats } from '../constant.js';
import { channelsLast, plain, withLast } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, known, type Value } from '../value.js';
import { combined, mapped, withNumber } from './element-wise.js';
import { reduced } from './reduce.js';
import { reshaped } from './shape.js';

const batchNormalization: Translate = (node) => {
  const x = node.input(0);
  if (node.int('training_mode', 0) === 1 || [1, 2, 3, 4].some((n) => node.isRead(n))) {
    node.fail('is in training; expected a model exported for inference');
  }
  const channels = x.shape[1] ?? node.fail(`reads [${x.shape}]; expected channels`);
  const names = ['its scale', 'its bias', 'its mean', 'its variance'];
  const parts = names.map((what, n) => {
    const constant = node.constant(n + 1, what);
    if (constant.data.length !== channels) {
      node.fail(`has ${what} of shape [${constant.shape}]; expected [${channels}]`);
    }
    return constant;
  });
  const { builder } = node;
  const epsilon = node.float('epsilon', 1e-5);
  const rank = x.shape.length;
  if (rank !== 4) return scaledAndShifted(node, x, parts, epsilon);
  const attr = {
    T: typeAttribute('DT_FLOAT'),
    U: typeAttribute('DT_FLOAT'),
    data_format: stringAttribute('NHWC'),
    epsilon: floatAttribute(epsilon),
    is_training: boolAttribute(false),
  };
  const inputs = [
    builder.lay(x, channelsLast(4)),
    ...[1, 2, 3, 4].map((n) => builder.lay(node.input(n), [0])),
  ];
  const reference = builder.emit('FusedBatchNormV3', inputs, attr);
  return computed(node.name, reference, x.shape, channelsLast(4));
};

/** Of other numbers of dimensions than TensorFlow's operator takes. */
function scaledAndShifted(node: NodeContext, x: Value, parts: readonly Constant[], epsilon: number): Value {
  const [gamma, beta, mean, variance] = parts.map(({ data }) => data) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const scale = Float32Array.from(gamma, (value, c) => value / Math.sqrt(variance[c]! + epsilon));
  const shift = Float32Array.from(beta, (value, c) => value - mean[c]! * scale[c]!);
  const perChannel = (name: string, data: Float32Array): Value =>
    known(
      `${node.name}/${name}`,
      floats([data.length, ...new Array<number>(Math.max(0, x.shape.length - 2)).fill(1)], data),
    );
  const scaled = combined(node, [x, perChannel('scale', scale)], 'Mul');
  return combined(node, [scaled, perChannel('shift', shift)], 'AddV2');
}

/** `(x - mean) / √(variance + epsilon)` over axes. */
function standardized(node: NodeContext, x: Value, axes: readonly number[], epsilon: number): Value {
  const mean = reduced(node, x, 'Mean', axes);
  const centred = combined(node, [x, mean], 'Sub');
  const variance = reduced(node, mapped(node, centred, 'Square'), 'Mean', axes);
  return combined(
    node,
    [centred, mapped(node, withNumber(node, variance, 'AddV2', epsilon), 'Rsqrt')],
    'Mul',
  );
}

/** One number for every channel, to multiply with or to add. */
function ofChannels(node: NodeContext, n: number, rank: number, channels: number): Value {
  const value = node.input(n);
  if (value.shape.length !== 1 || value.shape[0] !== channels) {
    node.fail(`has '${value.name}' of shape [${value.shape}]; expected [${channels}]`);
  }
  return reshapedConstant(node, value, [channels, ...new Array<number>(rank - 2).fill(1)]);
}

function reshapedConstant(node: NodeContext, value: Value, shape: readonly number[]): Value {
  return value.constant ? known(value.name, { ...value.constant, shape }) : reshaped(node, value, shape);
}

const instanceNormalization: Translate = (node) => {
  const x = node.input(0);
  const rank = x.shape.length;
  node.rank(x, 3, 4, 5);
  const axes = plain(rank).slice(2);
  const standard = standardized(node, x, axes, node.float('epsilon', 1e-5));
  const scaled = combined(node, [standard, ofChannels(node, 1, rank, x.shape[1]!)], 'Mul');
  return combined(node, [scaled, ofChannels(node, 2, rank, x.shape[1]!)], 'AddV2');
};

const layerNormalization: Translate = (node) => {
  const x = node.input(0);
  const rank = x.shape.length;
  if (node.isRead(1) || node.isRead(2))
    node.fail('has its mean or deviation read; expected the first output only');
  const first = node.axis(node.int('axis', -1), rank);
  const standard = standardized(node, x, plain(rank).slice(first), node.float('epsilon', 1e-5));
  const scaled = combined(node, [standard, node.input(1)], 'Mul');
  return node.optional(2) ? combined(node, [scaled, node.input(2)], 'AddV2') : scaled;
};

/** Channels in groups: of each group one mean. Scale and bias are of groups up to opset 20, of channels since. */
const groupNormalization: Translate = (node) => {
  const x = node.input(0);
  const [batch, channels] = x.shape as [number, number];
  const groups = node.int('num_groups', 0);
  node.rank(x, 3, 4, 5);
  if (!(groups >= 1) || channels % groups !== 0) {
    node.fail(`has num_groups ${groups} for ${channels} channels; expected a divisor`);
  }
  const split = [batch, groups, channels / groups, ...x.shape.slice(2)];
  const parts = reshaped(node, x, split);
  const standard = standardized(node, parts, plain(split.length).slice(2), node.float('epsilon', 1e-5));
  const perGroup = node.opset < 21;
  const operand = (n: number): Value => {
    const value = node.input(n);
    const each = perGroup ? [groups, 1] : [groups, channels / groups];
    if (elementCount(value.shape) !== elementCount(each)) {
      node.fail(`has '${value.name}' of shape [${value.shape}]; expected [${elementCount(each)}]`);
    }
    return reshapedConstant(node, value, [...each, ...x.shape.slice(2).map(() => 1)]);
  };
  const scaled = combined(node, [standard, operand(1)], 'Mul');
  return reshaped(node, combined(node, [scaled, operand(2)], 'AddV2'), x.shape);
};

const localResponse: Translate = (node) => {
  const x = node.input(0);
  node.rank(x, 4);
  const size = node.int('size', 0);
  if (!(size >= 1) || size % 2 === 0) node.fail(`has size ${size}; expected an odd number`);
  const attr = {
    T: typeAttribute('DT_FLOAT'),
    depth_radius: intAttribute((size - 1) / 2),
    bias: floatAttribute(node.float('bias', 1)),
    alpha: floatAttribute(node.float('alpha', 1e-4) / size),
    beta: floatAttribute(node.float('beta', 0.75)),
  };
  const reference = node.builder.emit('LRN', [node.builder.lay(x, channelsLast(4))], attr);
  return computed(node.name, reference, x.shape, channelsLast(4));
};

/** `x / √Σx²` (or by the sum of magnitudes) along one axis. */
const lpNormalization: Translate = (node) => {
  const x = node.input(0);
  const axis = node.axis(node.int('axis', -1), x.shape.length);
  const p = node.int('p', 2);
  if (p !== 1 && p !== 2) node.fail(`has p ${p}; expected 1 or 2`);
  const sum = reduced(node, mapped(node, x, p === 1 ? 'Abs' : 'Square'), 'Sum', [axis]);
  // Zeros stay zeros.
  return combined(node, [x, p === 1 ? sum : mapped(node, sum, 'Sqrt')], 'DivNoNan');
};

/** Along one axis since opset 13; before, over all axes from one on. */
const softmax =
  (op: 'Softmax' | 'LogSoftmax'): Translate =>
  (node) => {
    const x = node.input(0);
    const rank = x.shape.length;
    const isOlder = node.opset < 13;
    const axis = node.axis(node.int('axis', isOlder ? 1 : -1), rank);
    const nonNegative = op === 'Softmax';
    const { builder } = node;
    if (!isOlder || elementCount(x.shape.slice(axis + 1)) === 1) {
      const order = withLast(x.order, axis);
      return computed(node.name, builder.emit(op, [builder.lay(x, order)]), x.shape, order, { nonNegative });
    }
    const rows = [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))];
    const flat = reshaped(node, x, rows);
    const made = builder.emit(op, [builder.lay(flat, plain(2))]);
    return reshaped(node, computed(node.name, made, rows, plain(2), { nonNegative }), x.shape);
  };

export const NORMALIZATIONS = {
  BatchNormalization: batchNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LogSoftmax: softmax('LogSoftmax'),
  LpNormalization: lpNormalization,
  LRN: localResponse,
  Softmax: softmax('Softmax'),
} satisfies Record<string, Translate>;
