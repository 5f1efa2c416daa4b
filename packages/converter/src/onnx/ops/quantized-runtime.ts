/** Operators of ONNX Runtime (domain com.microsoft) that its quantizer puts between QLinearConv and QLinearMatMul. */
import { dequantized } from '../fold/quantization.js';
import type { NodeContext, Translate } from '../node-context.js';
import { known, type Value } from '../value.js';
import { combined } from './element-wise.js';
import { floatsAt, held, integerBias, weightsAt } from './quantized.js';

/** The floats that input n stands for, a constant among them, with scale and zero point behind it. */
function operand(node: NodeContext, n: number): Value {
  const { constant, name } = node.input(n);
  if (!constant) return floatsAt(node, n);
  const [scale, zeroPoint] = [node.constant(n + 1, 'a scale'), node.constant(n + 2, 'a zero point')];
  return known(name, dequantized(node, constant, scale, zeroPoint));
}

/** A sum or a product of two quantized operands. */
const binary =
  (op: string): Translate =>
  (node) => {
    const operands = [operand(node, 0), operand(node, 3)];
    const nonNegative = operands.every((value) => value.nonNegative);
    return held(node, combined(node, operands, op, { nonNegative }), 6);
  };

/** What another operator does, between one quantized input and a quantized output. */
const between =
  (translate: Translate): Translate =>
  (node) => {
    if (node.int('channels_last', 0) === 1) node.fail('has channels_last 1; expected channels first');
    const made = translate(node.withInputs([floatsAt(node, 0)]));
    return held(node, Array.isArray(made) ? made[0]! : made, 3);
  };

/** Scale and zero point of the output come first, then three inputs for each part. */
const concat =
  (translate: Translate): Translate =>
  (node) => {
    const parts: Value[] = [];
    for (let n = 2; n < node.inputCount; n += 3) parts.push(operand(node, n));
    const made = translate(node.withInputs(parts));
    return held(node, Array.isArray(made) ? made[0]! : made, 0);
  };

/** A Gemm of integers; without a scale for the output it gives floats. */
const gemm =
  (translate: Translate): Translate =>
  (node) => {
    const scale = node.constant(4, 'the scale of its matrix');
    const zeroPoint = node.constant(5, 'the zero point of its matrix');
    const matrix = weightsAt(node, 3, scale, zeroPoint, node.int('transB', 0) === 1 ? 0 : 1);
    const bias = node.optional(6)
      ? [integerBias(node, 6, scale, node.number(1, 'the scale of its input'))]
      : [];
    const made = translate(node.withInputs([floatsAt(node, 0), matrix, ...bias])) as Value;
    return node.optional(7) ? held(node, made, 7) : made;
  };

/** @param translations of the operators that these are the quantized ones of */
export function quantizedOfRuntime(translations: Readonly<Record<string, Translate>>) {
  return {
    QGemm: gemm(translations.Gemm!),
    QLinearAdd: binary('AddV2'),
    QLinearAveragePool: between(translations.AveragePool!),
    QLinearConcat: concat(translations.Concat!),
    QLinearGlobalAveragePool: between(translations.GlobalAveragePool!),
    QLinearLeakyRelu: between(translations.LeakyRelu!),
    QLinearMul: binary('Mul'),
    QLinearSigmoid: between(translations.Sigmoid!),
    QLinearSoftmax: between(translations.Softmax!),
  } satisfies Record<string, Translate>;
}
