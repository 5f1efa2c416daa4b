/** Every operator over its attributes against ONNX Runtime. */
import { setBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, it } from 'vitest';
import { expectAsRuntime, feed, numbers, size } from '../support/onnx/against-runtime.js';
import { type Attributes, OnnxModel } from '../support/onnx/model.js';

beforeAll(async () => {
  await setBackend('cpu');
});

/** One operator on one input. */
async function one(
  op: string,
  shape: number[],
  attributes: Attributes = {},
  { opset = 17, more = () => [] as string[], tolerance = 2e-6, scale = 1 } = {} as {
    opset?: number;
    more?: (m: OnnxModel) => string[];
    tolerance?: number;
    scale?: number;
  },
): Promise<void> {
  const m = new OnnxModel(opset);
  m.input('x', shape);
  m.output(m.node(op, ['x', ...more(m)], attributes, { outputs: ['y'] }));
  await expectAsRuntime(m.bytes(), { x: feed(shape, scale) }, { tolerance });
}

const weights =
  (shape: number[], bias = 0, scale = 0.3) =>
  (m: OnnxModel): string[] => [
    m.constant('w', shape, numbers(size(shape), scale, 1)),
    ...(bias > 0 ? [m.constant('b', [bias], numbers(bias, 0.5, 2))] : []),
  ];

describe('convolutions', () => {
  it.each<[string, number[], number[], number, Attributes]>([
    ['plain', [2, 3, 7, 6], [4, 3, 3, 3], 4, {}],
    ['padded as SAME', [1, 3, 7, 6], [4, 3, 3, 3], 0, { pads: [1, 1, 1, 1] }],
    ['strided, padded otherwise', [1, 3, 8, 9], [4, 3, 3, 3], 4, { pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['asymmetric', [1, 3, 8, 9], [4, 3, 3, 2], 4, { pads: [0, 2, 1, 3], strides: [2, 1] }],
    ['dilated', [1, 3, 9, 9], [4, 3, 3, 3], 4, { dilations: [2, 3], pads: [2, 3, 2, 3] }],
    [
      'dilated and strided',
      [1, 3, 11, 9],
      [4, 3, 3, 3],
      4,
      { dilations: [2, 2], pads: [2, 1, 2, 2], strides: [2, 3] },
    ],
    ['SAME_UPPER', [1, 3, 7, 8], [4, 3, 3, 4], 0, { auto_pad: 'SAME_UPPER', strides: [2, 2] }],
    ['SAME_LOWER', [1, 3, 7, 8], [4, 3, 3, 4], 0, { auto_pad: 'SAME_LOWER', strides: [2, 2] }],
    ['VALID', [1, 3, 7, 8], [4, 3, 3, 4], 0, { auto_pad: 'VALID', kernel_shape: [3, 4] }],
    ['depthwise', [1, 4, 7, 8], [4, 1, 3, 3], 4, { group: 4, pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['depthwise, twice', [1, 4, 7, 8], [8, 1, 3, 3], 8, { group: 4, pads: [0, 1, 1, 0] }],
    [
      'depthwise, dilated',
      [1, 4, 9, 8],
      [4, 1, 3, 3],
      0,
      { group: 4, pads: [2, 2, 2, 2], dilations: [2, 2] },
    ],
    ['in groups', [1, 6, 7, 8], [4, 3, 3, 3], 4, { group: 2, pads: [1, 0, 0, 1] }],
    ['in groups, SAME', [2, 6, 7, 8], [9, 2, 3, 3], 0, { group: 3, pads: [1, 1, 1, 1] }],
    ['of a row', [2, 3, 9], [4, 3, 3], 4, { pads: [1, 2], strides: [2] }],
    ['of a row, depthwise and dilated', [1, 4, 12], [4, 1, 3], 4, { group: 4, dilations: [2], strides: [2] }],
  ])('Conv %s', async (_, shape, weight, bias, attributes) => {
    await one('Conv', shape, attributes, { more: weights(weight, bias) });
  });

  it('Conv with computed weights', async () => {
    const m = new OnnxModel();
    m.input('x', [1, 3, 5, 5]);
    m.input('w', [4, 3, 3, 3]);
    m.output(m.node('Conv', ['x', 'w'], { pads: [1, 1, 1, 1] }, { outputs: ['y'] }));
    await expectAsRuntime(m.bytes(), { x: feed([1, 3, 5, 5]), w: feed([4, 3, 3, 3]) });
  });

  it.each<[string, number[], number[], number, Attributes]>([
    ['plain', [1, 3, 4, 5], [3, 4, 3, 3], 4, {}],
    ['upsampling', [2, 3, 4, 5], [3, 4, 4, 4], 4, { strides: [2, 2], pads: [1, 1, 1, 1] }],
    [
      'output padding',
      [1, 3, 4, 5],
      [3, 4, 3, 3],
      0,
      { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
    ],
    ['asymmetric', [1, 3, 4, 5], [3, 2, 3, 2], 2, { strides: [2, 3], pads: [0, 1, 1, 0] }],
    ['dilated', [1, 3, 4, 5], [3, 2, 3, 3], 2, { dilations: [2, 2], strides: [2, 2] }],
    ['in groups', [1, 4, 4, 5], [4, 3, 2, 2], 6, { group: 2, strides: [2, 2] }],
    ['depthwise', [1, 4, 4, 5], [4, 1, 4, 4], 0, { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['output shape', [1, 3, 4, 5], [3, 2, 3, 3], 0, { strides: [2, 2], output_shape: [8, 10] }],
    ['SAME_UPPER', [1, 3, 4, 5], [3, 2, 3, 3], 0, { strides: [2, 2], auto_pad: 'SAME_UPPER' }],
  ])('ConvTranspose %s', async (_, shape, weight, bias, attributes) => {
    await one('ConvTranspose', shape, attributes, { more: weights(weight, bias) });
  });
});

describe('poolings', () => {
  it.each<[string, string, number[], Attributes, number?]>([
    ['MaxPool', 'plain', [1, 3, 8, 9], { kernel_shape: [2, 3], strides: [2, 2] }],
    ['MaxPool', 'padded', [1, 3, 8, 9], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['MaxPool', 'SAME', [1, 3, 8, 9], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }],
    [
      'MaxPool',
      'SAME_LOWER',
      [1, 3, 8, 8],
      { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_LOWER' },
    ],
    ['MaxPool', 'rounded up', [1, 3, 8, 9], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }],
    [
      'MaxPool',
      'rounded up, padded',
      [1, 3, 8, 7],
      { kernel_shape: [3, 3], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: 1 },
    ],
    [
      'MaxPool',
      'rounded up, last left out',
      [1, 1, 5, 5],
      { kernel_shape: [1, 1], strides: [3, 3], ceil_mode: 1 },
    ],
    ['AveragePool', 'plain', [1, 3, 8, 9], { kernel_shape: [2, 3], strides: [2, 2] }],
    ['AveragePool', 'padded', [1, 3, 8, 9], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
    [
      'AveragePool',
      'padded as SAME',
      [1, 3, 7, 9],
      { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] },
    ],
    [
      'AveragePool',
      'counting its border',
      [1, 3, 8, 9],
      { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
    ],
    [
      'AveragePool',
      'counting its border, SAME',
      [1, 3, 7, 9],
      { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 },
    ],
    [
      'AveragePool',
      'asymmetric',
      [1, 3, 8, 9],
      { kernel_shape: [3, 2], strides: [2, 1], pads: [0, 1, 2, 0] },
    ],
    ['AveragePool', 'rounded up', [1, 3, 8, 9], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, 19],
    [
      'AveragePool',
      'rounded up, counting',
      [1, 3, 8, 9],
      { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad: 1 },
      19,
    ],
    ['MaxPool', 'of rows', [2, 3, 9], { kernel_shape: [3], strides: [2], pads: [1, 1] }],
    [
      'AveragePool',
      'of rows',
      [2, 3, 9],
      { kernel_shape: [3], strides: [2], pads: [1, 0], ceil_mode: 1 },
      19,
    ],
    ['GlobalAveragePool', '', [2, 3, 5, 4], {}],
    ['GlobalAveragePool', 'of rows', [2, 3, 5], {}],
    ['GlobalMaxPool', '', [2, 3, 5, 4], {}],
  ])('%s %s', async (op, _, shape, attributes, opset = 17) => {
    await one(op, shape, attributes, { opset });
  });
});

describe('activations', () => {
  it.each<[string, Attributes?, number?]>([
    ['Relu'],
    ['LeakyRelu', { alpha: { float: 0.1 } }],
    ['LeakyRelu'],
    ['Sigmoid'],
    ['HardSigmoid', { alpha: { float: 0.3 }, beta: { float: 0.4 } }],
    ['HardSigmoid'],
    ['HardSwish'],
    ['Tanh'],
    ['Elu'],
    ['Elu', { alpha: { float: 0.5 } }],
    ['Selu'],
    ['Celu', { alpha: { float: 2 } }],
    ['Softplus'],
    ['Softsign'],
    ['Erf'],
    ['Mish', {}, 18],
    ['Gelu', {}, 20],
    ['Gelu', { approximate: 'tanh' }, 20],
    ['ThresholdedRelu', { alpha: { float: 0.7 } }],
    ['Exp'],
    ['Neg'],
    ['Abs'],
    ['Floor'],
    ['Ceil'],
    ['Round'],
    ['Sign'],
    ['Sin'],
    ['Cos'],
    ['Reciprocal'],
    ['Identity'],
    ['Dropout'],
  ])('%s %o', async (op, attributes = {}, opset = 17) => {
    await one(op, [2, 3, 4, 5], attributes, { opset, scale: 3, tolerance: 1e-5 });
  });

  it.each<[string, number, Attributes, (number | null)[]]>([
    ['before opset 11', 9, { min: { float: -0.5 }, max: { float: 0.7 } }, []],
    ['0 to 6', 17, {}, [0, 6]],
    ['0 to 6, opset 11', 11, {}, [0, 6]],
    ['from 0', 13, {}, [0]],
    ['up to 0.3', 13, {}, [null, 0.3]],
    ['-1 to 1', 13, {}, [-1, 1]],
    ['crossed', 13, {}, [0.5, 0.2]],
  ])('Clip %s', async (_, opset, attributes, bounds) => {
    const more = (m: OnnxModel): string[] =>
      bounds.map((bound) => (bound === null ? '' : m.numbers(bound, 'float32')));
    await one('Clip', [1, 3, 4, 5], attributes, { opset, more, scale: 8 });
  });

  it('Clip with computed bounds', async () => {
    const m = new OnnxModel();
    m.input('x', [2, 3]);
    m.input('low', []);
    m.output(m.node('Clip', ['x', 'low', m.numbers(0.5, 'float32')], {}, { outputs: ['y'] }));
    await expectAsRuntime(m.bytes(), { x: feed([2, 3]), low: { shape: [], data: Float32Array.of(-0.2) } });
  });

  it.each([
    ['one for each channel', [3, 1, 1]],
    ['one for all', [1]],
    ['one for each element', [3, 4, 5]],
  ])('PRelu %s', async (_, shape) => {
    await one(
      'PRelu',
      [2, 3, 4, 5],
      {},
      { more: (m) => [m.constant('slope', shape, numbers(size(shape), 0.3))] },
    );
  });
});

describe('arithmetic with broadcasting', () => {
  const shapes: [number[], number[]][] = [
    [
      [2, 3, 4, 5],
      [2, 3, 4, 5],
    ],
    [
      [2, 3, 4, 5],
      [3, 1, 1],
    ],
    [
      [2, 3, 1, 1],
      [2, 3, 4, 5],
    ],
    [[2, 3, 4, 5], [5]],
    [[2, 3, 4, 5], []],
    [
      [3, 4],
      [1, 2, 3, 1],
    ],
  ];
  for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Mean']) {
    it(`${op}, computed and constant, in pictures and elsewhere`, async () => {
      for (const [a, b] of shapes) {
        const m = new OnnxModel();
        m.input('a', a);
        m.input('b', b);
        // One operand lies as pictures do.
        const pooled = a.length === 4 ? m.node('MaxPool', ['a'], { kernel_shape: [1, 1] }) : 'a';
        const constant = m.constant('k', b, numbers(size(b), 1, 3));
        const sum = m.node(op, [pooled, 'b']);
        m.output(m.node(op, [sum, constant], {}, { outputs: ['y'] }));
        m.output(m.node(op, [constant, pooled], {}, { outputs: ['z'] }));
        await expectAsRuntime(m.bytes(), { a: feed(a), b: feed(b, 1, 5) }, { tolerance: 1e-5 });
      }
    });
  }

  it('Pow, Sqrt, Log, comparisons, Where, Cast, Not, And, Or', async () => {
    const m = new OnnxModel();
    const shape = [2, 3, 4, 5];
    m.input('a', shape);
    m.input('b', shape);
    const positive = m.node('Abs', ['a']);
    m.output(m.node('Pow', [positive, m.numbers(2, 'float32')], {}, { outputs: ['square'] }));
    m.output(m.node('Pow', [positive, m.numbers(0.5, 'float32')], {}, { outputs: ['root'] }));
    m.output(m.node('Pow', [positive, m.numbers(1.7, 'float32')], {}, { outputs: ['power'] }));
    m.output(m.node('Pow', [positive, 'b'], {}, { outputs: ['powers'] }));
    m.output(m.node('Sqrt', [positive], {}, { outputs: ['sqrt'] }));
    m.output(m.node('Log', [positive], {}, { outputs: ['log'] }));
    const pooled = m.node('MaxPool', ['a'], { kernel_shape: [1, 1] });
    const larger = m.node('Greater', [pooled, 'b']);
    const less = m.node('LessOrEqual', [pooled, m.numbers(0.3, 'float32')]);
    const either = m.node('Or', [m.node('And', [larger, less]), m.node('Not', [larger])]);
    m.output(
      m.node('Where', [either, pooled, m.constant('k', [3, 1, 1], [1, 2, 3])], {}, { outputs: ['where'] }),
    );
    m.output(m.node('Cast', [less], { to: 1 }, { outputs: ['cast'] }));
    m.output(
      m.node('Cast', [m.node('Mul', ['a', m.numbers(5, 'float32')])], { to: 6 }, { outputs: ['whole'] }),
      'int32',
    );
    await expectAsRuntime(m.bytes(), { a: feed(shape), b: feed(shape, 1, 4) }, { tolerance: 1e-5 });
  });
});
