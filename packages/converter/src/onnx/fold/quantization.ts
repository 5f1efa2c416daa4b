/** QuantizeLinear and DequantizeLinear of known numbers: quantized weights become floats, float weights what their quantization leaves of them. */
import { type Constant, dataOf, floats, stridesOf } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import type { Fold } from './arithmetic.js';

/** Least and largest integer of a type. */
const RANGES: Readonly<Record<string, [number, number]>> = {
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
};

/** @param zeroPoint whose type is that of the integers; without one they are uint8 */
export function integerRange(node: NodeContext, zeroPoint: Constant | null): [number, number] {
  const type = zeroPoint?.type ?? 'uint8';
  return RANGES[type] ?? node.fail(`quantizes to ${type}; expected integers of up to 16 bits`);
}

/** For every element of x the index of its scale: one for all, one for every index of an axis, or one for every block along it. */
function scaleIndex(node: NodeContext, x: Constant, scale: Constant): (n: number) => number {
  if (scale.data.length === 1) return () => 0;
  const rank = x.shape.length;
  const axis = node.axis(node.int('axis', 1), rank);
  const strides = stridesOf(x.shape);
  const block = node.int('block_size', 0);
  if (block === 0) {
    if (scale.data.length !== x.shape[axis]) {
      node.fail(
        `has ${scale.data.length} scales for axis ${axis} of [${x.shape}]; expected one for each index`,
      );
    }
    return (n) => Math.floor(n / strides[axis]!) % x.shape[axis]!;
  }
  const shape = x.shape.map((size, a) => (a === axis ? Math.ceil(size / block) : size));
  if (scale.shape.join() !== shape.join()) {
    node.fail(`has scales of shape [${scale.shape}] for blocks of ${block}; expected [${shape}]`);
  }
  const own = stridesOf(shape);
  return (n) => {
    let index = 0;
    for (let a = 0; a < rank; a++) {
      const at = Math.floor(n / strides[a]!) % x.shape[a]!;
      index += own[a]! * (a === axis ? Math.floor(at / block) : at);
    }
    return index;
  };
}

function checkZeroPoint(node: NodeContext, scale: Constant, zeroPoint: Constant | undefined): void {
  if (!zeroPoint || zeroPoint.data.length === scale.data.length) return;
  node.fail(`has ${zeroPoint.data.length} zero points for ${scale.data.length} scales; expected as many`);
}

/** `(x - zeroPoint) * scale`. */
export function dequantized(node: NodeContext, x: Constant, scale: Constant, zeroPoint?: Constant): Constant {
  checkZeroPoint(node, scale, zeroPoint);
  const indexOf = scaleIndex(node, x, scale);
  const data = new Float32Array(x.data.length);
  for (let n = 0; n < data.length; n++) {
    const index = indexOf(n);
    data[n] = (x.data[n]! - (zeroPoint?.data[index] ?? 0)) * scale.data[index]!;
  }
  return floats(x.shape, data);
}

const dequantize: Fold = (node, [x, scale, zeroPoint]) => [dequantized(node, x!, scale!, zeroPoint)];

const quantize: Fold = (node, [x, scale, zeroPoint]) => {
  checkZeroPoint(node, scale!, zeroPoint);
  const type = zeroPoint?.type ?? 'uint8';
  const [least, most] = integerRange(node, zeroPoint ?? null);
  const indexOf = scaleIndex(node, x!, scale!);
  const data = dataOf('int', x!.data.length);
  for (let n = 0; n < data.length; n++) {
    const index = indexOf(n);
    const integer =
      halfToEven(Math.fround(x!.data[n]! / scale!.data[index]!)) + (zeroPoint?.data[index] ?? 0);
    data[n] = Math.min(Math.max(integer, least), most);
  }
  return [{ kind: 'int', shape: x!.shape, data, type }];
};

/** Rounds as ONNX does. */
export function halfToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

export const QUANTIZATION: Readonly<Record<string, Fold>> = {
  DequantizeLinear: dequantize,
  QuantizeLinear: quantize,
};
