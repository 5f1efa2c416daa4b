/** What a name of an ONNX graph stands for while the graph is translated. */
import type { Constant } from './constant.js';
import { type Order, plain } from './layout.js';

export type ValueType = 'float32' | 'int32' | 'bool';

/** Quantized integers, kept as the floats that they stand for: `(integer - zeroPoint) * scale`. */
export interface Quantized {
  scale: number;
  zeroPoint: number;
}

export interface Value {
  /** ONNX's name, for messages and names of nodes. */
  name: string;
  /** In ONNX's order of axes. Multiples of the builder's batch are open. */
  shape: readonly number[];
  dtype: ValueType;
  constant: Constant | null;
  /** How the value was made to lie in memory: see layout.ts. */
  order: Order;
  /** References into the TensorFlow.js graph, by the order in which they lie, such as '0,2,3,1'. */
  forms: Map<string, string>;
  /** True where no element is below 0, so that a border of zeros never wins a maximum. */
  nonNegative: boolean;
  quantized: Quantized | null;
  /**
   * Of `[batch, columns]` that came from pictures whose pixels lie in TensorFlow.js's order: stored column n is ONNX's column `columns[n]`. Only matrix
   * products read such values. Null everywhere else.
   */
  columns: Float64Array | null;
}

type Details = Partial<Pick<Value, 'nonNegative' | 'quantized' | 'columns' | 'dtype'>>;

/** A value that a node of the graph computes. */
export function computed(
  name: string,
  reference: string,
  shape: readonly number[],
  order: Order,
  details: Details = {},
): Value {
  return {
    name,
    shape,
    dtype: 'float32',
    constant: null,
    order,
    forms: new Map([[order.join(), reference]]),
    nonNegative: false,
    quantized: null,
    columns: null,
    ...details,
  };
}

/** A value that is known. */
export function known(name: string, constant: Constant): Value {
  const dtype = ({ float: 'float32', int: 'int32', bool: 'bool' } as const)[constant.kind];
  const { shape, data } = constant;
  const nonNegative = constant.kind === 'float' && data.length < 4096 && data.every((value) => value >= 0);
  return {
    name,
    shape,
    dtype,
    constant,
    order: plain(shape.length),
    forms: new Map(),
    nonNegative,
    quantized: null,
    columns: null,
  };
}
