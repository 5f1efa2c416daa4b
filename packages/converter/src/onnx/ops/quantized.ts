/**
 * Quantized operators. Integers stand for floats, and those floats are what is converted: weights are dequantized, roundings of activations are left
 * out (and named), and only the clipping that a quantization does on purpose, at 0 and at 6, stays as an activation.
 */
import { elementCount } from '../../graph/stored-weights.js';
import { type Constant, floats } from '../constant.js';
import { dequantized, integerRange } from '../fold/quantization.js';
import type { NodeContext, Translate } from '../node-context.js';
import { known, type Quantized, type Value } from '../value.js';
import { clipped } from './activations.js';
import { convolve } from './convolution.js';
import { mapped, withNumber } from './element-wise.js';
import { product } from './mat-mul.js';

/** Quantization of a whole activation at two inputs, scale and zero point. */
function quantizationAt(node: NodeContext, n: number): Quantized & { range: [number, number] } {
  const scale = node.constant(n, 'its scale');
  const zeroPoint = node.optional(n + 1) ? node.constant(n + 1, 'its zero point') : null;
  if (scale.data.length !== 1 || (zeroPoint && zeroPoint.data.length !== 1)) {
    node.fail(`quantizes activations with ${scale.data.length} scales; expected one for all`);
  }
  return { scale: scale.data[0]!, zeroPoint: zeroPoint?.data[0] ?? 0, range: integerRange(node, zeroPoint) };
}

/** A value as integers would hold it: without their rounding, with their least value where that is 0. */
export function held(node: NodeContext, x: Value, n: number): Value {
  const { scale, zeroPoint, range } = quantizationAt(node, n);
  const [low, high] = range.map((bound) => (bound - zeroPoint) * scale) as [number, number];
  const isRelu6 = Math.abs(high - 6) < 6 / 512;
  node.drop('rounding of activations is left to the conversion');
  const value = low === 0 && !x.nonNegative ? clipped(node, x, 0, isRelu6 ? 6 : Infinity) : x;
  return { ...value, name: node.name, quantized: { scale, zeroPoint } };
}

const quantizeLinear: Translate = (node) => held(node, node.input(0), 1);

/** Gives the floats back; integers that are an input of the model are computed with. */
const dequantizeLinear: Translate = (node) => {
  const x = node.input(0);
  if (x.quantized) return { ...x, name: node.name, quantized: null };
  const { scale, zeroPoint } = quantizationAt(node, 1);
  const float = {
    ...mapped(node, x, 'Cast', { attr: { DstT: { type: 'DT_FLOAT' } } }),
    dtype: 'float32' as const,
  };
  const shifted = zeroPoint === 0 ? float : withNumber(node, float, 'Sub', zeroPoint);
  return withNumber(node, shifted, 'Mul', scale);
};

/** The floats are their own integers: scale 1, zero point 0. */
const dynamicQuantizeLinear: Translate = (node) => {
  const x = node.input(0);
  node.drop('rounding of activations is left to the conversion');
  const [, scale, zeroPoint] = node.proto.outputs;
  return [
    { ...x, quantized: { scale: 1, zeroPoint: 0 } },
    known(scale ?? '', floats([], [1])),
    known(zeroPoint ?? '', { kind: 'int', shape: [], data: Float64Array.of(0), type: 'uint8' }),
  ];
};

/** Weights of a quantized operator as floats, one scale for all or for each output. */
export function weightsAt(
  node: NodeContext,
  n: number,
  scale: Constant,
  zeroPoint: Constant | null,
  axis: number,
): Value {
  const value = node.input(n);
  const constant = node.constant(n, 'its weights');
  if (scale.data.length > 1 && scale.data.length !== constant.shape[axis]) {
    node.fail(`has ${scale.data.length} scales for [${constant.shape}]; expected one for each output`);
  }
  const wide = (part: Constant): Constant => {
    const count = Math.max(scale.data.length, zeroPoint?.data.length ?? 1);
    return part.data.length === count
      ? part
      : { ...part, shape: [count], data: new Float64Array(count).fill(part.data[0]!) };
  };
  // DequantizeLinear has its scales along axis 1: before and behind the axis of the outputs the weights count as one axis each.
  const { shape } = constant;
  const around = [elementCount(shape.slice(0, axis)), shape[axis] ?? 1, elementCount(shape.slice(axis + 1))];
  const found = dequantized(
    node,
    { ...constant, shape: around },
    wide(scale),
    zeroPoint ? wide(zeroPoint) : undefined,
  );
  return known(value.name, { ...found, shape });
}

/** The floats that a quantized input stands for. */
export function floatsAt(node: NodeContext, n: number): Value {
  const x = node.input(n);
  if (!x.quantized) return node.fail(`reads '${x.name}' as integers; expected QuantizeLinear before it`);
  return { ...x, quantized: null };
}

const qLinearConv: Translate = (node) => {
  const x = floatsAt(node, 0);
  const xScale = node.number(1, 'the scale of its input');
  const scale = node.constant(4, 'the scale of its weights');
  const weight = weightsAt(node, 3, scale, node.constant(5, 'the zero point of its weights'), 0);
  const bias = node.optional(8);
  return held(node, convolve(node, x, weight, bias && integerBias(node, 8, scale, xScale)), 6);
};

/** A bias is stored at the scale of the product. */
export function integerBias(node: NodeContext, n: number, scale: Constant, xScale: number): Value {
  const { data, shape } = node.constant(n, 'its bias');
  const step = (o: number): number => (scale.data[scale.data.length === 1 ? 0 : o] ?? Number.NaN) * xScale;
  return known(
    node.input(n).name,
    floats(
      shape,
      data.map((value, o) => value * step(o)),
    ),
  );
}

const qLinearMatMul: Translate = (node) => {
  const a = floatsAt(node, 0);
  const scale = node.constant(4, 'the scale of its matrix');
  const b = node.input(3).constant
    ? weightsAt(
        node,
        3,
        scale,
        node.constant(5, 'the zero point of its matrix'),
        node.input(3).shape.length - 1,
      )
    : floatsAt(node, 3);
  return held(node, product(node, a, b), 6);
};

/** Products of integers: of what stands behind them, divided by the scale of the input. */
const integerProduct =
  (
    multiply: (node: NodeContext, x: Value, weight: Value) => Value,
    axis: (rank: number) => number,
  ): Translate =>
  (node) => {
    const x = floatsAt(node, 0);
    const { scale } = node.input(0).quantized!;
    const zeroPoint = node.optional(3) ? node.constant(3, 'the zero point of its weights') : null;
    const weight = weightsAt(node, 1, floats([1], [1 / scale]), zeroPoint, axis(node.input(1).shape.length));
    return multiply(node, x, weight);
  };

export const QUANTIZED = {
  ConvInteger: integerProduct(
    (node, x, weight) => convolve(node, x, weight, null),
    () => 0,
  ),
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: integerProduct(product, (rank) => rank - 1),
  QLinearConv: qLinearConv,
  QLinearMatMul: qLinearMatMul,
  QuantizeLinear: quantizeLinear,
} satisfies Record<string, Translate>;
