import { expect, test } from 'vitest';
import {
  type ConvolutionStep,
  chooseFormats,
  type FormatRules,
  type Program,
  type Step,
} from '../src/index.js';

/** Images are words here: what a step reads is its `filter`'s place in `reads`. */
const rules = (
  reads: Record<number, string | null>,
  grids: Record<number, string> = {},
): FormatRules<string> => ({
  read: ({ output }) => reads[output] ?? null,
  residual: ({ output }) => grids[output] ?? null,
  same: (a, b) => a === b,
});

const convolution = (input: number, output: number, residual: number | null = null) =>
  ({ op: 'convolution', input, output, residual }) as ConvolutionStep;
const relu = (input: number, output: number) => ({ op: 'unary', input, output }) as Step;

const program = (steps: Step[], outputs: number[]): Program => ({
  steps,
  inputs: [0],
  outputs,
  sizes: new Map(),
  channels: new Map(),
});

test('a value is wanted in each image once, and as float32 only where float32 is read', () => {
  const steps = [convolution(0, 1), convolution(1, 2), convolution(1, 3), convolution(1, 4), relu(2, 5)];
  const formats = chooseFormats(program(steps, [3, 4, 5]), rules({ 1: null, 2: 'a', 3: 'b', 4: 'a' }));
  expect([...formats.images]).toEqual([[1, ['a', 'b']]]);
  expect([...formats.floats].sort()).toEqual([0, 2, 3, 4, 5]);
});

test('a residual is read from the image of the grid it lies on, which is made for that', () => {
  const steps = [convolution(0, 1), convolution(1, 2), convolution(2, 3, 1), convolution(3, 4, 2)];
  const formats = chooseFormats(
    program(steps, [4]),
    rules({ 1: 'x', 2: 'a', 3: 'a', 4: 'a' }, { 1: 'grid' }),
  );
  expect(formats.images.get(1)).toEqual(['a', 'grid']);
  expect([...formats.residuals]).toEqual([[1, 'grid']]);
  // The other residual lies on no grid.
  expect([...formats.floats].sort()).toEqual([2, 4]);
});

test('an input of the program is no grid', () => {
  const formats = chooseFormats(program([convolution(0, 1, 0)], [1]), rules({ 1: 'a' }, { 1: 'grid' }));
  expect(formats.residuals.size).toBe(0);
  expect([...formats.floats].sort()).toEqual([0, 1]);
});
