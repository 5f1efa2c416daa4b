/** Activations. Where TensorFlow.js has no operator, a few that it has. */
import { floatAttribute, typeAttribute } from '../../graph/attributes.js';
import { elementCount } from '../../graph/stored-weights.js';
import { broadcastShape } from '../constant.js';
import type { NodeContext, Translate } from '../node-context.js';
import type { Value } from '../value.js';
import { computed } from '../value.js';
import { combined, leadingOrder, mapped, withNumber } from './element-wise.js';

const simple =
  (op: string, nonNegative = false): Translate =>
  (node) =>
    mapped(node, node.input(0), op, { nonNegative });

const leakyRelu: Translate = (node) => {
  const attr = { T: typeAttribute('DT_FLOAT'), alpha: floatAttribute(node.float('alpha', 0.01)) };
  return mapped(node, node.input(0), 'LeakyRelu', { attr });
};

/** Slopes broadcast to one side only: to the input. */
const parametricRelu: Translate = (node) => {
  const [x, slope] = [node.input(0), node.input(1)];
  if (broadcastShape(x.shape, slope.shape)?.join() !== x.shape.join()) {
    node.fail(
      `has slopes of shape [${slope.shape}] for [${node.builder.describe(x.shape)}]; expected a shape that broadcasts to it`,
    );
  }
  const { builder } = node;
  const order = leadingOrder([x], x.shape);
  const slopes = builder.operand(slope, x.shape.length, order);
  // TensorFlow.js looks at the last axis; one slope for all is a leaky ReLU.
  if (slope.constant && elementCount(slope.shape) === 1) {
    const attr = { T: typeAttribute('DT_FLOAT'), alpha: floatAttribute(slope.constant.data[0]!) };
    return mapped(node, x, 'LeakyRelu', { attr });
  }
  return computed(node.name, builder.emit('Prelu', [builder.lay(x, order), slopes]), x.shape, order);
};

/** Bounds as attributes before opset 11, as inputs since. */
const clip: Translate = (node) => {
  const x = node.input(0);
  const bound = (n: number, name: string, otherwise: number): number | Value => {
    if (node.opset < 11) return node.float(name, otherwise);
    const value = node.optional(n);
    return value ? (value.constant ? node.number(n, `its ${name}`) : value) : otherwise;
  };
  // Floats without an end are written as the largest ones.
  const [low, high] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)];
  if (typeof low !== 'number' || typeof high !== 'number') return clipComputed(node, x, low, high);
  return clipped(node, x, low < -3.4e38 ? -Infinity : low, high > 3.4e38 ? Infinity : high);
};

/** `min(max(x, low), high)` in the fewest operators. */
export function clipped(node: NodeContext, x: Value, low: number, high: number): Value {
  const nonNegative = low >= 0;
  const bound = (number: number): string =>
    node.builder.scalar(number, x.dtype === 'float32' ? 'float' : 'int');
  if (low === -Infinity && high === Infinity) return { ...x, name: node.name };
  if (x.dtype === 'float32' && low === 0 && high === 6) return mapped(node, x, 'Relu6', { nonNegative });
  if (x.dtype === 'float32' && low === 0 && high === Infinity)
    return mapped(node, x, 'Relu', { nonNegative });
  if (low === -Infinity) {
    return mapped(node, x, 'Minimum', { more: [bound(high)], nonNegative: x.nonNegative && high >= 0 });
  }
  if (high === Infinity) return mapped(node, x, 'Maximum', { more: [bound(low)], nonNegative });
  if (x.dtype === 'float32' && low <= high) {
    return mapped(node, x, 'ClipByValue', { more: [bound(low), bound(high)], nonNegative });
  }
  return mapped(node, mapped(node, x, 'Maximum', { more: [bound(low)] }), 'Minimum', { more: [bound(high)] });
}

function clipComputed(node: NodeContext, x: Value, low: number | Value, high: number | Value): Value {
  const after =
    typeof low === 'number' ? clipped(node, x, low, Infinity) : combined(node, [x, low], 'Maximum');
  return typeof high === 'number'
    ? clipped(node, after, -Infinity, high)
    : combined(node, [after, high], 'Minimum');
}

const hardSigmoid: Translate = (node) => {
  const scaled = withNumber(node, node.input(0), 'Mul', node.float('alpha', 0.2));
  return clipped(node, withNumber(node, scaled, 'AddV2', node.float('beta', 0.5)), 0, 1);
};

const hardSwish: Translate = (node) => {
  const x = node.input(0);
  const gate = mapped(node, withNumber(node, x, 'AddV2', 3), 'Relu6');
  return withNumber(node, combined(node, [x, gate], 'Mul'), 'Mul', 1 / 6);
};

const elu: Translate = (node) => {
  const x = node.input(0);
  const alpha = node.float('alpha', 1);
  return alpha === 1 ? mapped(node, x, 'Elu') : exponentialBelow(node, x, alpha, 1, 1);
};

/** `scale * (max(x, 0) + alpha * (exp(min(x, 0) / slope) - 1))`. */
function exponentialBelow(node: NodeContext, x: Value, alpha: number, scale: number, slope: number): Value {
  const low = mapped(node, x, 'Minimum', { more: [node.builder.scalar(0)] });
  const scaled = slope === 1 ? low : withNumber(node, low, 'Mul', 1 / slope);
  const below = withNumber(node, mapped(node, scaled, 'Expm1'), 'Mul', alpha);
  const sum = combined(node, [mapped(node, x, 'Relu'), below], 'AddV2');
  return scale === 1 ? sum : withNumber(node, sum, 'Mul', scale);
}

const selu: Translate = (node) =>
  exponentialBelow(node, node.input(0), node.float('alpha', 1.6732632), node.float('gamma', 1.050701), 1);

const celu: Translate = (node) => {
  const alpha = node.float('alpha', 1);
  return exponentialBelow(node, node.input(0), alpha, 1, alpha);
};

/** `x * tanh(softplus(x))`. */
const mish: Translate = (node) => {
  const x = node.input(0);
  return combined(node, [x, mapped(node, mapped(node, x, 'Softplus'), 'Tanh')], 'Mul');
};

/** `x / (1 + |x|)`. */
const softsign: Translate = (node) => {
  const x = node.input(0);
  return combined(node, [x, withNumber(node, mapped(node, x, 'Abs'), 'AddV2', 1)], 'RealDiv');
};

/** `x * (1 + erf(x / √2)) / 2`, or its approximation by tanh. */
const gelu: Translate = (node) => {
  const x = node.input(0);
  const half = withNumber(node, x, 'Mul', 0.5);
  if (node.text('approximate', 'none') !== 'tanh') {
    const erf = mapped(node, withNumber(node, x, 'Mul', Math.SQRT1_2), 'Erf');
    return combined(node, [half, withNumber(node, erf, 'AddV2', 1)], 'Mul');
  }
  const square = mapped(node, x, 'Square');
  const inner = combined(
    node,
    [x, withNumber(node, withNumber(node, square, 'Mul', 0.044715), 'AddV2', 1)],
    'Mul',
  );
  const tanh = mapped(node, withNumber(node, inner, 'Mul', Math.sqrt(2 / Math.PI)), 'Tanh');
  return combined(node, [half, withNumber(node, tanh, 'AddV2', 1)], 'Mul');
};

const thresholdedRelu: Translate = (node) => {
  const x = node.input(0);
  const above = mapped(node, x, 'Greater', { more: [node.builder.scalar(node.float('alpha', 1))] });
  const gate = mapped(node, above, 'Cast', { attr: { DstT: typeAttribute('DT_FLOAT') } });
  return combined(node, [x, { ...gate, dtype: 'float32' }], 'Mul');
};

export const ACTIVATIONS = {
  Celu: celu,
  Clip: clip,
  Elu: elu,
  Gelu: gelu,
  HardSigmoid: hardSigmoid,
  HardSwish: hardSwish,
  LeakyRelu: leakyRelu,
  Mish: mish,
  PRelu: parametricRelu,
  Relu: simple('Relu', true),
  Selu: selu,
  Sigmoid: simple('Sigmoid', true),
  Softplus: simple('Softplus', true),
  Softsign: softsign,
  Tanh: simple('Tanh'),
  ThresholdedRelu: thresholdedRelu,
} satisfies Record<string, Translate>;
