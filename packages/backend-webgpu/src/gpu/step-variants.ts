/** Shaders of the steps of plans that are no convolutions. */
import { COPY_ROWS, ELEMENTWISE, MAT_MUL, MEAN, PAD, POOL, SOFTMAX, STEP } from '../shaders/sources.js';
import type { Variant } from './variants.js';

const SOURCES = {
  elementwise: ELEMENTWISE,
  pool: POOL,
  mean: MEAN,
  softmax: SOFTMAX,
  copyRows: COPY_ROWS,
  pad: PAD,
  matMul: MAT_MUL,
} as const;

export type StepShader = keyof typeof SOURCES;

export function stepVariant(name: StepShader): Variant {
  return {
    key: name,
    code: `${STEP}\n${SOURCES[name]}`,
    constants: {},
    pixels: 64,
    channels: 1,
    layout: 'step',
  };
}
