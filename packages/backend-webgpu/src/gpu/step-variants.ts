/** Shaders of the steps of plans that are no convolutions. */
import { COPY_ROWS, EACH, ELEMENTWISE, MAT_MUL, MEAN, PAD, POOL, SOFTMAX, STEP } from '../shaders/sources.js';
import { join, type Variant } from './variants.js';

const SOURCES = {
  elementwise: [EACH, ELEMENTWISE],
  pool: [EACH, POOL],
  mean: [EACH, MEAN],
  softmax: [SOFTMAX],
  copyRows: [EACH, COPY_ROWS],
  pad: [EACH, PAD],
  matMul: [EACH, MAT_MUL],
} as const;

export type StepShader = keyof typeof SOURCES;

export function stepVariant(name: StepShader): Variant {
  return {
    key: name,
    code: join(STEP, ...SOURCES[name]),
    constants: {},
    layout: 'step',
  };
}
