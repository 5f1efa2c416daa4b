/** Every operator of ONNX that is known. */
import type { Translate, Translations } from '../node-context.js';
import { ACTIVATIONS } from './activations.js';
import { CONVOLUTIONS } from './convolution.js';
import { ELEMENT_WISE } from './element-wise.js';
import { GATHER_OPERATORS } from './gather.js';
import { MAT_MUL } from './mat-mul.js';
import { NORMALIZATIONS } from './normalization.js';
import { PADS } from './pad.js';
import { POOLS } from './pool.js';
import { QUANTIZED } from './quantized.js';
import { quantizedOfRuntime } from './quantized-runtime.js';
import { REDUCE } from './reduce.js';
import { RESIZE } from './resize.js';
import { SHAPE_OPERATORS } from './shape.js';
import { SLICE_JOIN } from './slice-join.js';
import { TRANSPOSED_CONVOLUTIONS } from './transposed-convolution.js';

/** They compute what is known only: shapes, and what is made of them. */
const onlyKnown: Translate = (node) => node.fail('depends on the inputs of the network; expected constants');

const ONNX_OPERATORS: Translations = {
  ...ACTIVATIONS,
  ...CONVOLUTIONS,
  ...ELEMENT_WISE,
  ...GATHER_OPERATORS,
  ...MAT_MUL,
  ...NORMALIZATIONS,
  ...PADS,
  ...POOLS,
  ...QUANTIZED,
  ...REDUCE,
  ...RESIZE,
  ...SHAPE_OPERATORS,
  ...SLICE_JOIN,
  ...TRANSPOSED_CONVOLUTIONS,
  Constant: onlyKnown,
  ConstantOfShape: onlyKnown,
  Mod: onlyKnown,
  Range: onlyKnown,
  Shape: onlyKnown,
  Size: onlyKnown,
};

const QUANTIZED_OF_RUNTIME = quantizedOfRuntime(ONNX_OPERATORS);

export const TRANSLATIONS: Translations = { ...ONNX_OPERATORS, ...QUANTIZED_OF_RUNTIME };

/** Operators that quantized values may go into: those of quantization, and those that only move values. */
export const READS_QUANTIZED: ReadonlySet<string> = new Set([
  ...Object.keys(QUANTIZED),
  ...Object.keys(QUANTIZED_OF_RUNTIME),
  'Flatten',
  'Identity',
  'MaxPool',
  'Reshape',
  'Resize',
  'Slice',
  'Split',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
]);
