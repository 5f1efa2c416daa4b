/** Operators that move values, reduce, normalize and multiply, in the versions in which their signatures changed, against ONNX Runtime. */
import { setBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectAsRuntime, feed, numbers, operators, size } from '../support/onnx/against-runtime.js';
import { type Attributes, OnnxModel } from '../support/onnx/model.js';

beforeAll(async () => {
  await setBackend('cpu');
});

/** `y` of an operator on pictures as they come in, `z` of the same on pictures as they lie behind a pooling. */
async function both(
  op: string,
  shape: number[],
  attributes: Attributes,
  { opset = 17, more = () => [], tolerance = 2e-6, outputs = 1, type = 'float32' }: Both = {},
): Promise<Record<string, number>> {
  const m = new OnnxModel(opset);
  m.input('x', shape);
  const pooled =
    shape.length === 4 ? m.node('MaxPool', ['x'], { kernel_shape: [1, 1] }) : m.node('Relu', ['x']);
  const extra = more(m);
  for (const [name, input] of [
    ['y', 'x'],
    ['z', pooled],
  ] as const) {
    const names = Array.from({ length: outputs }, (_, n) => `${name}${n}`);
    m.node(op, [input, ...extra], attributes, { outputs: names });
    for (const output of names) m.output(output, type);
  }
  return operators(await expectAsRuntime(m.bytes(), { x: feed(shape) }, { tolerance }));
}

interface Both {
  opset?: number;
  more?: (m: OnnxModel) => string[];
  tolerance?: number;
  outputs?: number;
  type?: 'float32' | 'int64';
}

describe('shapes', () => {
  it.each<[string, number[], Attributes, Both?]>([
    ['Flatten', [2, 3, 4, 5], {}],
    ['Flatten', [2, 3, 4, 5], { axis: 2 }],
    ['Flatten', [2, 3, 4, 5], { axis: 0 }],
    ['Flatten', [2, 3, 4, 5], { axis: -1 }],
    ['Reshape', [2, 6, 4, 5], {}, { more: (m) => [m.numbers([2, 3, 2, -1])] }],
    ['Reshape', [2, 6, 4, 5], {}, { more: (m) => [m.numbers([0, 0, -1])] }],
    ['Reshape', [2, 6, 4, 5], {}, { more: (m) => [m.numbers([0, 2, 3, 4, 5])] }],
    ['Reshape', [2, 6, 4, 5], {}, { more: (m) => [m.numbers([-1])] }],
    ['Reshape', [2, 6, 1, 5], {}, { more: (m) => [m.numbers([2, 6, 5])] }],
    ['Reshape', [1, 6, 4, 5], {}, { more: (m) => [m.numbers([6, 20])] }],
    ['Transpose', [2, 3, 4, 5], { perm: [0, 2, 3, 1] }],
    ['Transpose', [2, 3, 4, 5], { perm: [3, 1, 0, 2] }],
    ['Transpose', [2, 3, 4, 5], {}],
    ['Squeeze', [2, 3, 1, 1], { axes: [2, 3] }, { opset: 11 }],
    ['Squeeze', [2, 3, 1, 1], {}, { more: (m) => [m.numbers([-1])] }],
    ['Squeeze', [2, 3, 1, 1], {}, { opset: 13 }],
    ['Unsqueeze', [2, 3, 4], { axes: [0, 4] }, { opset: 11 }],
    ['Unsqueeze', [2, 3, 4, 5], {}, { more: (m) => [m.numbers([1, -1])] }],
    ['Expand', [2, 3, 1, 5], {}, { more: (m) => [m.numbers([2, 3, 4, 1])] }],
    ['Expand', [3, 1], {}, { more: (m) => [m.numbers([2, 3, 4])] }],
    ['Tile', [2, 3, 4, 5], {}, { more: (m) => [m.numbers([1, 2, 1, 3])] }],
    ['DepthToSpace', [2, 12, 3, 4], { blocksize: 2 }],
    ['DepthToSpace', [2, 12, 3, 4], { blocksize: 2, mode: 'CRD' }],
    ['SpaceToDepth', [2, 3, 4, 6], { blocksize: 2 }],
  ])('%s of [%s] %o', async (op, shape, attributes, options) => {
    await both(op, shape, attributes, options);
  });

  it('moves nothing where axes of pictures only get other names', async () => {
    const m = new OnnxModel();
    m.input('x', [2, 6, 4, 5]);
    const w = m.constant('w', [6, 6, 1, 1], numbers(36));
    const conv = m.node('Conv', ['x', w]);
    const split = m.node('Reshape', [conv, m.numbers([2, 2, 3, 4, 5])]);
    const turned = m.node('Transpose', [split], { perm: [0, 1, 3, 4, 2] });
    const back = m.node('Transpose', [m.node('Sigmoid', [turned])], { perm: [0, 1, 4, 2, 3] });
    m.output(m.node('Conv', [m.node('Reshape', [back, m.numbers([2, 6, 4, 5])]), w], {}, { outputs: ['y'] }));
    const imported = await expectAsRuntime(m.bytes(), { x: feed([2, 6, 4, 5]) }, { tolerance: 1e-5 });
    // One at the input and one at the output.
    expect(operators(imported).Transpose).toBe(2);
  });
});

describe('channels shuffled between groups', () => {
  it('are moved once, and stay last', async () => {
    const m = new OnnxModel();
    m.input('x', [2, 6, 4, 5]);
    const w = m.constant('w', [6, 6, 1, 1], numbers(36));
    let x = m.node('Conv', ['x', w]);
    for (let n = 0; n < 2; n++) {
      const split = m.node('Reshape', [x, m.numbers([2, 2, 3, 4, 5])]);
      const turned = m.node('Transpose', [split], { perm: [0, 2, 1, 3, 4] });
      x = m.node('Conv', [m.node('Reshape', [turned, m.numbers([2, 6, 4, 5])]), w]);
    }
    m.output(m.node('GlobalAveragePool', [x], {}, { outputs: ['y'] }));
    const imported = await expectAsRuntime(m.bytes(), { x: feed([2, 6, 4, 5]) }, { tolerance: 1e-5 });
    expect(operators(imported).Transpose).toBe(3);
  });
});

describe('parts', () => {
  it.each<[string, number[], Attributes, Both?]>([
    ['Slice', [2, 6, 5, 7], { starts: [1, -4], ends: [3, 9], axes: [2, 3] }, { opset: 9 }],
    [
      'Slice',
      [2, 6, 5, 7],
      {},
      { opset: 10, more: (m) => [m.numbers([1]), m.numbers([-1]), m.numbers([1])] },
    ],
    [
      'Slice',
      [2, 6, 5, 7],
      {},
      { more: (m) => [m.numbers([0, 1]), m.numbers([2 ** 62, 6]), m.numbers([2, 3]), m.numbers([2, 3])] },
    ],
    [
      'Slice',
      [2, 6, 5, 7],
      {},
      { more: (m) => [m.numbers([-1]), m.numbers([-100]), m.numbers([1]), m.numbers([-2])] },
    ],
    ['Slice', [2, 6, 5, 7], {}, { more: (m) => [m.numbers([1, 2]), m.numbers([2, 5])] }],
    ['Split', [2, 6, 5, 7], { axis: 1 }, { opset: 11, outputs: 3 }],
    ['Split', [2, 6, 5, 7], { axis: 1, split: [1, 5] }, { opset: 11, outputs: 2 }],
    ['Split', [2, 6, 5, 7], { axis: -1 }, { opset: 13, outputs: 2, more: (m) => [m.numbers([3, 4])] }],
    ['Split', [2, 6, 5, 7], { axis: 3, num_outputs: 3 }, { opset: 18, outputs: 3 }],
    ['Gather', [2, 6, 5, 7], { axis: 1 }, { more: (m) => [m.numbers(-2)] }],
    ['Gather', [2, 6, 5, 7], { axis: 2 }, { more: (m) => [m.numbers([4, 0, 0])] }],
    ['Gather', [2, 6, 5], { axis: 1 }, { more: (m) => [m.constant('i', [2, 2], [0, 3, 5, 1], 'int64')] }],
    ['Pad', [2, 3, 4, 5], { pads: [0, 0, 1, 2, 0, 0, 3, 0], value: { float: 2 } }, { opset: 9 }],
    ['Pad', [2, 3, 4, 5], {}, { opset: 11, more: (m) => [m.numbers([0, 1, 0, 2, 0, 0, 3, 0])] }],
    [
      'Pad',
      [2, 3, 4, 5],
      {},
      { opset: 13, more: (m) => [m.numbers([0, 0, 1, 2, 0, 0, 3, 0]), m.numbers(-1.5, 'float32')] },
    ],
    ['Pad', [2, 3, 4, 5], {}, { opset: 18, more: (m) => [m.numbers([1, 2, 3, 0]), '', m.numbers([2, -1])] }],
    ['Pad', [2, 3, 4, 5], { mode: 'reflect' }, { more: (m) => [m.numbers([0, 0, 1, 2, 0, 0, 3, 0])] }],
    ['Pad', [2, 3, 4, 5], { mode: 'edge' }, { more: (m) => [m.numbers([0, 1, 1, 2, 0, 0, 3, 0])] }],
    [
      'Pad',
      [2, 3, 4, 5],
      { mode: 'wrap' },
      { opset: 19, more: (m) => [m.numbers([0, 0, 1, 2, 0, 0, 3, 0])] },
    ],
    ['Pad', [2, 3, 4, 5], {}, { more: (m) => [m.numbers([0, 0, -1, 2, 0, 0, 0, -1])] }],
  ])('%s of [%s] %o', async (op, shape, attributes, options) => {
    await both(op, shape, attributes, options);
  });

  it.each([0, 1, 2, 3, -1])('Concat along axis %i of pictures that lie differently', async (axis) => {
    const shape = [2, 3, 4, 4];
    const m = new OnnxModel();
    m.input('a', shape);
    m.input('b', shape);
    const pooled = m.node('MaxPool', ['b'], { kernel_shape: [1, 1] });
    m.output(
      m.node('Concat', ['a', pooled, m.constant('k', shape, numbers(96))], { axis }, { outputs: ['y'] }),
    );
    await expectAsRuntime(m.bytes(), { a: feed(shape), b: feed(shape, 1, 2) });
  });

  it.each<[string, Attributes, number, number | null]>([
    ['largest', {}, 17, 3],
    ['smallest along channels', { axis: 1, largest: 0 }, 17, 2],
    ['before opset 10', { k: 2, axis: -1 }, 9, null],
  ])('TopK, %s', async (_, attributes, opset, k) => {
    const m = new OnnxModel(opset);
    m.input('x', [2, 6, 5, 7]);
    const pooled = m.node('MaxPool', ['x'], { kernel_shape: [1, 1] });
    m.node('TopK', [pooled, ...(k === null ? [] : [m.numbers([k])])], attributes, {
      outputs: ['values', 'indices'],
    });
    m.output('values');
    m.output('indices', 'int64');
    await expectAsRuntime(m.bytes(), { x: feed([2, 6, 5, 7]) });
  });

  it('any Slice', async () => {
    const axis = fc.record({
      size: fc.integer({ min: 1, max: 6 }),
      start: fc.integer({ min: -8, max: 8 }),
      end: fc.integer({ min: -8, max: 8 }),
      step: fc.constantFrom(1, 1, 2, 3, -1, -2),
    });
    const kept = ({
      size: length,
      start,
      end,
      step,
    }: {
      size: number;
      start: number;
      end: number;
      step: number;
    }) => {
      const list = Array.from({ length }, (_, n) => n);
      const at = (n: number, low: number, high: number) =>
        Math.min(Math.max(n < 0 ? n + length : n, low), high);
      const [from, to] =
        step > 0
          ? [at(start, 0, length), at(end, 0, length)]
          : [at(start, 0, length - 1), at(end, -1, length - 1)];
      return list.filter(
        (n) => (step > 0 ? n >= from && n < to : n <= from && n > to) && (n - from) % step === 0,
      ).length;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(axis, { minLength: 4, maxLength: 4 }), async (axes) => {
        fc.pre(axes.every((range) => kept(range) > 0));
        const list = (key: 'start' | 'end' | 'step') => axes.map((range) => range[key]);
        await both(
          'Slice',
          axes.map((range) => range.size),
          {},
          {
            more: (m) => [
              m.numbers(list('start')),
              m.numbers(list('end')),
              m.numbers([0, 1, 2, 3]),
              m.numbers(list('step')),
            ],
          },
        );
      }),
      { numRuns: 40 },
    );
  });

  it('any Reshape behind any Transpose', async () => {
    const factors = fc.array(fc.constantFrom(1, 2, 3), { minLength: 3, maxLength: 5 });
    const grouped = (sizes: readonly number[], cuts: readonly boolean[]): number[] => {
      const shape: number[] = [];
      for (const [n, length] of sizes.entries()) {
        if (n === 0 || cuts[n]) shape.push(length);
        else shape[shape.length - 1]! *= length;
      }
      return shape;
    };
    const cutting = fc.array(fc.boolean(), { minLength: 5, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(factors, cutting, cutting, fc.nat(), async (sizes, before, after, seed) => {
        const [from, to] = [grouped(sizes, before), grouped(sizes, after)];
        const perm = from.map((_, n) => n).sort((x, y) => ((x * 7 + seed) % 5) - ((y * 7 + seed) % 5));
        const shape = from.map((_, n) => from[perm.indexOf(n)]!);
        const m = new OnnxModel();
        m.input('x', shape);
        const turned = m.node('Transpose', ['x'], { perm });
        m.output(turned);
        const flat = m.node('Reshape', [turned, m.numbers([-1])]);
        m.output(m.node('Reshape', [flat, m.numbers(to)], {}, { outputs: ['y'] }));
        m.output(m.node('Reshape', [turned, m.numbers(to)], {}, { outputs: ['z'] }));
        await expectAsRuntime(m.bytes(), { x: feed(shape) });
      }),
      { numRuns: 60 },
    );
  });
});

describe('reductions', () => {
  it.each<[string, Attributes, Both?]>([
    ['ReduceMean', { axes: [2, 3] }],
    ['ReduceMean', { axes: [2, 3], keepdims: 0 }],
    ['ReduceMean', { keepdims: 0 }, { opset: 18, more: (m) => [m.numbers([1])] }],
    ['ReduceMean', {}, { opset: 18, more: (m) => [m.numbers([-1, -2])] }],
    ['ReduceMean', {}, {}],
    ['ReduceSum', { axes: [1], keepdims: 0 }, { opset: 11 }],
    ['ReduceSum', { keepdims: 0 }, { opset: 13, more: (m) => [m.numbers([0, 2])] }],
    ['ReduceSum', { noop_with_empty_axes: 1 }, { opset: 13 }],
    ['ReduceMax', { axes: [-1], keepdims: 0 }],
    ['ReduceMin', { axes: [1, 3] }],
    ['ReduceProd', { axes: [3] }],
    ['ReduceL1', { axes: [1] }],
    ['ReduceL2', { axes: [1], keepdims: 0 }],
    ['ReduceSumSquare', { axes: [2] }],
    ['ArgMax', { axis: 1 }, { type: 'int64' }],
    ['ArgMax', { axis: -1, keepdims: 0 }, { type: 'int64' }],
    ['ArgMin', { axis: 2, keepdims: 0 }, { type: 'int64' }],
  ])('%s %o', async (op, attributes, options) => {
    await both(op, [2, 3, 4, 5], attributes, { tolerance: 1e-5, ...options });
  });
});

describe('normalizations', () => {
  const vector = (m: OnnxModel, name: string, length: number, centre: number): string =>
    m.constant(
      name,
      [length],
      numbers(length, 0.3, name.length).map((value) => value + centre),
    );

  it.each([
    [[2, 4, 3, 5], 17],
    [[2, 4, 3, 5], 9],
    [[2, 4], 15],
    [[2, 4, 6], 14],
  ])('BatchNormalization of [%s], opset %i', async (shape, opset) => {
    const more = (m: OnnxModel): string[] => [
      vector(m, 's', 4, 1),
      vector(m, 'bb', 4, 0),
      vector(m, 'mmm', 4, 0),
      vector(m, 'vvvv', 4, 1),
    ];
    await both('BatchNormalization', shape, { epsilon: { float: 0.01 } }, { more, opset, tolerance: 1e-5 });
  });

  it.each<[string, number[], Attributes, Both?]>([
    [
      'InstanceNormalization',
      [2, 4, 3, 5],
      {},
      { more: (m) => [vector(m, 's', 4, 1), vector(m, 'bb', 4, 0)] },
    ],
    [
      'InstanceNormalization',
      [2, 4, 7],
      { epsilon: { float: 0.1 } },
      { more: (m) => [vector(m, 's', 4, 1), vector(m, 'bb', 4, 0)] },
    ],
    ['LayerNormalization', [2, 4, 3, 5], {}, { more: (m) => [vector(m, 's', 5, 1), vector(m, 'bb', 5, 0)] }],
    [
      'LayerNormalization',
      [2, 4, 3, 5],
      { axis: 2 },
      { more: (m) => [m.constant('s', [3, 5], numbers(15))] },
    ],
    ['LRN', [2, 7, 3, 5], { size: 5, alpha: { float: 0.1 }, beta: { float: 0.6 }, bias: { float: 1.5 } }],
    ['LpNormalization', [2, 7, 3, 5], { axis: 1 }],
    ['LpNormalization', [2, 7, 3, 5], { axis: 1, p: 1 }],
    ['Softmax', [2, 7, 3, 5], {}, { opset: 13 }],
    ['Softmax', [2, 7, 3, 5], { axis: 1 }, { opset: 13 }],
    ['Softmax', [2, 7, 3, 5], {}, { opset: 11 }],
    ['Softmax', [2, 7, 3, 5], { axis: 2 }, { opset: 12 }],
    ['Softmax', [2, 7], {}, { opset: 11 }],
    ['LogSoftmax', [2, 7, 3, 5], { axis: 1 }],
    ['LogSoftmax', [2, 7, 3, 5], { axis: 3 }, { opset: 11 }],
  ])('%s of [%s] %o', async (op, shape, attributes, options) => {
    await both(op, shape, attributes, { tolerance: 1e-5, ...options });
  });

  it('GroupNormalization of opset 21', async () => {
    const more = (m: OnnxModel): string[] => [vector(m, 's', 6, 1), vector(m, 'bb', 6, 0)];
    await both('GroupNormalization', [2, 6, 3, 5], { num_groups: 3 }, { opset: 21, more, tolerance: 1e-5 });
  });
});

describe('resizing', () => {
  const scales =
    (...list: number[]) =>
    (m: OnnxModel) => ['', m.numbers(list, 'float32')];
  const sizes =
    (...list: number[]) =>
    (m: OnnxModel) => ['', '', m.numbers(list)];

  it.each<[string, Attributes, Both]>([
    ['Upsample', { mode: 'nearest' }, { opset: 9, more: (m) => [m.numbers([1, 1, 2, 3], 'float32')] }],
    ['Resize', { mode: 'nearest' }, { opset: 10, more: (m) => [m.numbers([1, 1, 2, 2], 'float32')] }],
    ['Resize', {}, { opset: 11, more: (m) => ['x', m.numbers([1, 1, 2, 2], 'float32')] }],
    ['Resize', {}, { more: scales(1, 1, 2, 2) }],
    ['Resize', {}, { more: scales(1, 1, 1.6, 0.7) }],
    [
      'Resize',
      { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
      { more: scales(1, 1, 2, 2) },
    ],
    [
      'Resize',
      { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'ceil' },
      { more: sizes(2, 3, 7, 9) },
    ],
    [
      'Resize',
      { coordinate_transformation_mode: 'align_corners', nearest_mode: 'round_prefer_ceil' },
      { more: sizes(2, 3, 7, 9) },
    ],
    ['Resize', { coordinate_transformation_mode: 'pytorch_half_pixel' }, { more: sizes(2, 3, 1, 9) }],
    ['Resize', { mode: 'linear' }, { more: scales(1, 1, 2, 2) }],
    ['Resize', { mode: 'linear' }, { more: sizes(2, 3, 3, 4) }],
    [
      'Resize',
      { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
      { more: sizes(2, 3, 9, 11) },
    ],
    [
      'Resize',
      { mode: 'linear', coordinate_transformation_mode: 'asymmetric' },
      { more: scales(1, 1, 2, 3) },
    ],
    [
      'Resize',
      { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
      { more: scales(1, 1, 2, 2) },
    ],
    ['Resize', { mode: 'linear', axes: [2, 3] }, { opset: 18, more: sizes(8, 9) }],
  ])('%s %o', async (op, attributes, options) => {
    await both(op, [2, 3, 4, 5], attributes, { tolerance: 1e-5, ...options });
  });
});

describe('matrix products', () => {
  it.each<[string, number[], number[], Attributes]>([
    ['plain', [3, 4], [4, 5], {}],
    ['b turned', [3, 4], [5, 4], { transB: 1 }],
    ['both turned', [4, 3], [5, 4], { transA: 1, transB: 1 }],
    ['factors', [3, 4], [4, 5], { alpha: { float: 0.5 }, beta: { float: 2 } }],
  ])('Gemm, %s', async (_, a, b, attributes) => {
    for (const shape of [[5], [1, 5], [3, 1], []]) {
      const m = new OnnxModel();
      m.input('a', a);
      m.input('b', b);
      const bias = m.constant('c', shape, numbers(size(shape), 0.5, 2));
      m.output(
        m.node('Gemm', ['a', m.constant('k', b, numbers(size(b), 1, 3)), bias], attributes, {
          outputs: ['y'],
        }),
      );
      m.output(m.node('Gemm', ['a', 'b', bias], attributes, { outputs: ['z'] }));
      m.output(m.node('Gemm', ['a', 'b'], attributes, { outputs: ['u'] }));
      await expectAsRuntime(m.bytes(), { a: feed(a), b: feed(b, 1, 1) }, { tolerance: 1e-5 });
    }
  });

  it.each([
    [
      [3, 4],
      [4, 5],
    ],
    [
      [2, 3, 4],
      [4, 5],
    ],
    [
      [2, 6, 3, 4],
      [4, 5],
    ],
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [
      [2, 1, 3, 4],
      [1, 6, 4, 5],
    ],
  ])('MatMul of [%s] and [%s]', async (a, b) => {
    const m = new OnnxModel();
    m.input('a', a);
    m.input('b', b);
    const from = a.length === 4 ? m.node('MaxPool', ['a'], { kernel_shape: [1, 1] }) : 'a';
    m.output(m.node('MatMul', [from, m.constant('k', b, numbers(size(b), 1, 3))], {}, { outputs: ['y'] }));
    m.output(m.node('MatMul', [from, 'b'], {}, { outputs: ['z'] }));
    await expectAsRuntime(m.bytes(), { a: feed(a), b: feed(b, 1, 1) }, { tolerance: 1e-5 });
  });

  it('pictures flattened for a product are not moved: the rows of the matrix are', async () => {
    const m = new OnnxModel();
    m.input('x', [2, 3, 6, 5]);
    const pooled = m.node('MaxPool', ['x'], { kernel_shape: [2, 1] });
    const flat = m.node('Dropout', [m.node('Flatten', [m.node('Relu', [pooled])])]);
    m.output(
      m.node('Gemm', [flat, m.constant('w', [4, 75], numbers(300))], { transB: 1 }, { outputs: ['y'] }),
    );
    m.output(m.node('MatMul', [flat, m.constant('v', [75, 3], numbers(225))], {}, { outputs: ['z'] }));
    const imported = await expectAsRuntime(m.bytes(), { x: feed([2, 3, 6, 5]) }, { tolerance: 1e-5 });
    expect(operators(imported)).toMatchObject({ Transpose: 1, MatMul: 2 });
  });
});
