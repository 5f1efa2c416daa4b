/** The signature of a converted model: names, and the order of axes that inputs and outputs have outside. */
import { referable } from './builder.js';
import { channelsLast, type Order, plain } from './layout.js';
import type { ValueType } from './value.js';

/** The order of the axes of pictures, which are the inputs and outputs of four dimensions: ONNX's or TensorFlow.js's. */
export type PictureLayout = 'nchw' | 'nhwc';

/** Of ONNX models: how the converted model takes and gives pictures. */
export interface PictureLayouts {
  /** Default 'nchw', as the file has it. */
  inputLayout?: PictureLayout | undefined;
  /** Default 'nchw', as the file has it. */
  outputLayout?: PictureLayout | undefined;
}

export interface ImportOptions extends PictureLayouts {
  /** Sizes by the name of the input, as the converted model has them, where the file leaves them open. */
  inputShapes?: Readonly<Record<string, readonly number[]>> | undefined;
}

interface Port {
  name: string;
  dtype: string;
  tensorShape: { dim: { size: string }[] };
}

/** The signature of a TensorFlow.js model: the nodes by ONNX's names. */
export interface Signature {
  inputs: Record<string, Port>;
  outputs: Record<string, Port>;
}

export const DTYPES: Readonly<Record<ValueType, string>> = {
  float32: 'DT_FLOAT',
  int32: 'DT_INT32',
  bool: 'DT_BOOL',
};

/** The order in which a model has the axes of an input or output. */
export function orderOf(shape: readonly number[], layout: PictureLayout | undefined): Order {
  return layout === 'nhwc' && shape.length === 4 ? channelsLast(4) : plain(shape.length);
}

/** A name that TensorFlow.js can refer to, which no other input or output has. */
export function nodeName(name: string, taken: ReadonlySet<string>): string {
  const base = referable(name);
  let node = base;
  for (let n = 1; taken.has(node); n++) node = `${base}_${n}`;
  return node;
}

export function portOf(node: string, dtype: ValueType, sizes: readonly number[]): Port {
  return {
    name: `${node}:0`,
    dtype: DTYPES[dtype],
    tensorShape: { dim: sizes.map((size) => ({ size: `${size}` })) },
  };
}
