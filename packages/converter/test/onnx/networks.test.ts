/** Whole networks: exports of torchvision's, a detector's and a segmenter's head, shapes calculated from an open batch, quantized ones. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { compile, selectBackend } from '@dsconv/core';
import { type Tensor, tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadFiles } from '../../src/graph/run-model.js';
import { signalToNoise } from '../../src/index.js';
import { convertOnnx } from '../../src/onnx/convert-onnx.js';
import { readOnnx } from '../../src/onnx/read-onnx.js';
import {
  expectAsRuntime,
  expectClose,
  feed,
  numbers,
  operators,
  runImported,
  runOnnx,
  size,
} from '../support/onnx/against-runtime.js';
import { OnnxModel } from '../support/onnx/model.js';
import { buildTorchNetwork, type TORCH_NETWORKS } from '../support/torchvision/networks.js';

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
});

describe('exports of torchvision', () => {
  it.each<[keyof typeof TORCH_NETWORKS, number, Record<string, number>]>([
    ['resnet18', 65, { Transpose: 1, Conv2D: 20, FusedBatchNormV3: 20, AddV2: 9, Relu: 17 }],
    ['mobilenet_v2', 64, { Transpose: 1, Conv2D: 35, DepthwiseConv2dNative: 17, Relu6: 35 }],
    ['googlenet', 64, { Transpose: 1, ConcatV2: 9 }],
    ['densenet121', 61, { Transpose: 1, ConcatV2: 58 }],
    ['squeezenet1_1', 78, { Transpose: 1, ConcatV2: 8 }],
  ])('%s of %i pixels', async (name, side, kept) => {
    const { onnx } = buildTorchNetwork(name, 1, side, 10);
    const imported = await expectAsRuntime(onnx, { x: feed([1, 3, side, side], 2) }, { tolerance: 1e-4 });
    expect(operators(imported)).toMatchObject(kept);
  });

  it('is converted to 8 bits and stays near, its input in either order', async () => {
    const { onnx } = buildTorchNetwork('cifar resnet20', 1, 32, 10);
    for (const inputLayout of ['nchw', 'nhwc'] as const) {
      const { report } = await convertOnnx(onnx, 'resnet.onnx', { bits: 8, method: 'absmax', inputLayout });
      expect(report).toMatchObject({ format: 'onnx', left: [], dropped: [], notes: [] });
      expect(report.layers).toHaveLength(20);
      expect(report.kept.Transpose ?? 0).toBe(inputLayout === 'nchw' ? 1 : 0);
      expect(report.kept.FusedBatchNormV3).toBeUndefined();
      expect(report.verification.notCompared).toBeNull();
      expect(report.verification.foldingSnrDb).toBeGreaterThan(80);
      expect(report.verification.outputs[0]).toMatchObject({ name: 'y', shape: [1, 10] });
      expect(report.verification.outputs[0]!.snrDb).toBeGreaterThan(25);
    }
  });
});

/** A convolution with batch normalization and an activation. */
function block(
  m: OnnxModel,
  x: string,
  name: string,
  [inputs, outputs, kernel]: readonly [number, number, number],
  { stride = 1, group = 1, activation = 'Relu' } = {},
): string {
  const shape = [outputs, inputs / group, kernel, kernel];
  const fanIn = size(shape.slice(1));
  const weight = m.constant(
    `${name}.weight`,
    shape,
    numbers(size(shape), 1.5 / Math.sqrt(fanIn), name.length),
  );
  const pad = (kernel - 1) / 2;
  const conv = m.node(
    'Conv',
    [x, weight],
    { group, strides: [stride, stride], pads: [pad, pad, pad, pad] },
    { name },
  );
  const part = (suffix: string, centre: number, reach: number): string =>
    m.constant(
      `${name}.${suffix}`,
      [outputs],
      numbers(outputs, reach, suffix.length + name.length).map((value) => value + centre),
    );
  const norm = m.node('BatchNormalization', [
    conv,
    part('gamma', 1, 0.3),
    part('beta', 0.1, 0.3),
    part('mean', 0, 0.3),
    part('variance', 1, 0.4),
  ]);
  if (activation === 'SiLU') return m.node('Mul', [norm, m.node('Sigmoid', [norm])]);
  return activation === '' ? norm : m.node(activation, [norm]);
}

/** Two scales, joined by Resize and Concat, and boxes out of them, as exported from PyTorch with an open batch: shapes are calculated. */
function detector(batch: number | string, opset = 17): Uint8Array {
  const m = new OnnxModel(opset);
  m.input('images', [batch, 3, 32, 48]);
  let x = block(m, 'images', 'stem', [3, 16, 3], { stride: 2, activation: 'SiLU' });
  const fine = block(m, x, 'fine', [16, 24, 3], { stride: 2, activation: 'SiLU' });
  x = block(m, fine, 'groups', [24, 32, 3], { stride: 2, group: 4, activation: 'LeakyRelu' });
  // A spatial pyramid, a split, a residual.
  const pooled = m.node('MaxPool', [x], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] });
  m.node(
    'Split',
    [m.node('Concat', [x, pooled], { axis: 1 }), m.numbers([32, 32])],
    { axis: 1 },
    { outputs: ['s1', 's2'] },
  );
  const coarse = m.node('Add', ['s1', block(m, 's2', 'mix', [32, 32, 1], { activation: 'HardSwish' })]);
  const up = m.node('Resize', [coarse, '', m.numbers([1, 1, 2, 2], 'float32')], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
  const joined = block(m, m.node('Concat', [up, fine], { axis: 1 }), 'joined', [56, 24, 1]);
  const boxes = [joined, coarse].map((level, n) => {
    const channels = n === 0 ? 24 : 32;
    const w = m.constant(`head${n}`, [3 * 7, channels, 1, 1], numbers(21 * channels, 0.3, n));
    const raw = m.node(
      'Conv',
      [level, w, m.constant(`head${n}.bias`, [21], numbers(21, 0.2, n + 5))],
      {},
      { name: `head${n}` },
    );
    const shape = m.node('Shape', [raw]);
    const at = (index: number) =>
      m.node('Unsqueeze', [m.node('Gather', [shape, m.numbers(index)]), m.numbers([0])]);
    const [height, width] = [at(2), at(3)];
    const split = m.node('Concat', [at(0), m.numbers([3]), m.numbers([7]), height, width], { axis: 0 });
    const turned = m.node('Transpose', [m.node('Reshape', [raw, split])], { perm: [0, 1, 3, 4, 2] });
    const gated = m.node('Sigmoid', [turned]);
    // Centres get the grid added, sizes are squared.
    const side = n === 0 ? [8, 12] : [4, 6];
    const grid = Float32Array.from({ length: size(side) * 2 }, (_, i) =>
      i % 2 === 0 ? Math.floor(i / 2) % side[1]! : Math.floor(i / 2 / side[1]!),
    );
    const part = (from: number, to: number) =>
      m.node('Slice', [gated, m.numbers([from]), m.numbers([to]), m.numbers([4])]);
    const centres = m.node('Add', [part(0, 2), m.constant(`grid${n}`, [1, 1, ...side, 2], grid)]);
    const sizes = m.node('Pow', [part(2, 4), m.numbers(2, 'float32')]);
    const all = m.node('Concat', [centres, sizes, part(4, 7)], { axis: -1 });
    return m.node('Reshape', [all, m.node('Concat', [at(0), m.numbers([-1]), m.numbers([7])], { axis: 0 })]);
  });
  m.output(m.node('Concat', boxes, { axis: 1 }, { outputs: ['boxes'] }));
  return m.bytes();
}

describe('a detector', () => {
  it.each([1, 3])('of a batch of %i, open in the file', async (batch) => {
    const bytes = detector('batch');
    const imported = await expectAsRuntime(bytes, { images: feed([batch, 3, 32, 48]) }, { tolerance: 1e-5 });
    expect(imported.notes).toEqual([]);
    expect(imported.source.signature).toMatchObject({
      inputs: {
        images: { tensorShape: { dim: [{ size: '-1' }, { size: '3' }, { size: '32' }, { size: '48' }] } },
      },
      outputs: { boxes: { tensorShape: { dim: [{ size: '-1' }, { size: '360' }, { size: '7' }] } } },
    });
    // One at the input, one for the boxes of each level.
    expect(operators(imported)).toMatchObject({ Transpose: 3, Split: 1, ResizeNearestNeighbor: 1 });
    expect(operators(imported).Shape).toBeUndefined();
  });

  it.each([11, 14, 18, 21])('of opset %i, fixed to one picture', async (opset) => {
    await expectAsRuntime(
      opset === 11 ? olderDetector() : detector(1, opset),
      { images: feed([1, 3, 32, 48]) },
      { tolerance: 1e-5 },
    );
  });

  it('is converted near', async () => {
    const { report } = await convertOnnx(detector('batch'), 'detector.onnx', { bits: 8, blockSize: 16 });
    expect(report.left).toEqual([]);
    expect(report.layers.map(({ name }) => name)).toContain('head0');
    expect(report.layers.find(({ shape }) => shape.join() === '3,3,6,32')).toBeDefined();
    expect(report.kept.ResizeNearestNeighbor).toBe(1);
    expect(report.accuracy.correctedBiases).toBeGreaterThan(0);
    expect(report.verification.foldingSnrDb).toBeGreaterThan(80);
    expect(report.verification.outputs[0]!.snrDb).toBeGreaterThan(30);
  });
});

/** The same operators as opset 11 spells them. */
function olderDetector(): Uint8Array {
  const m = new OnnxModel(11);
  m.input('images', [1, 3, 32, 48]);
  const x = block(m, 'images', 'stem', [3, 16, 3], { stride: 2 });
  const padded = m.node('Pad', [x, m.numbers([0, 0, 1, 1, 0, 0, 0, 0])]);
  m.node('Split', [padded], { axis: 1, split: [10, 6] }, { outputs: ['a', 'b'] });
  const clipped = m.node('Clip', ['a', m.numbers(0, 'float32'), m.numbers(6, 'float32')]);
  const mean = m.node('ReduceMean', [clipped], { axes: [2, 3], keepdims: 0 });
  const wide = m.node('Unsqueeze', [mean], { axes: [2, 3] });
  const narrow = m.node('Squeeze', [wide], { axes: [3] });
  m.output(m.node('Softmax', [m.node('Flatten', [narrow])], {}, { outputs: ['y'] }));
  m.output(m.node('Slice', ['b', m.numbers([1]), m.numbers([9]), m.numbers([2])], {}, { outputs: ['z'] }));
  return m.bytes();
}

describe('opsets at either end', () => {
  it.each([
    [7, 3],
    [8, 3],
    [22, 10],
    [23, 11],
  ])('%i', async (opset, irVersion) => {
    const m = new OnnxModel(opset, irVersion);
    m.input('x', [2, 3, 16, 16]);
    const weight = m.constant('w', [8, 3, 3, 3], numbers(216, 0.3));
    // Files of the first versions list their weights among the inputs.
    if (irVersion === 3) m.input('w', [8, 3, 3, 3]);
    const conv = m.node('Conv', ['x', weight], { pads: [1, 1, 1, 1], strides: [2, 2] });
    const norm = m.node('BatchNormalization', [
      conv,
      ...[1, 2, 3].map((n) => m.constant(`n${n}`, [8], numbers(8, 0.5, n))),
      m.constant('variance', [8], new Array(8).fill(0.7)),
    ]);
    const pooled = m.node('AveragePool', [m.node('Dropout', [m.node('Relu', [norm])])], {
      kernel_shape: [2, 2],
    });
    const sum = m.node('Add', [
      m.node('Concat', [pooled, pooled], { axis: 1 }),
      m.constant('k', [16, 1, 1], numbers(16)),
    ]);
    const flat = m.node('Reshape', [m.node('GlobalAveragePool', [sum]), m.numbers([0, -1])]);
    const dense = m.node(
      'Gemm',
      [flat, m.constant('v', [5, 16], numbers(80)), m.constant('b', [5], numbers(5))],
      { transB: 1 },
    );
    m.output(m.node('Softmax', [dense], { axis: 1 }, { outputs: ['y'] }));
    await expectAsRuntime(m.bytes(), { x: feed([2, 3, 16, 16]) }, { tolerance: 1e-5 });
  });
});

describe('a converted model', () => {
  it.each(['nchw', 'nhwc'] as const)('is a plan too, its input as %s', async (inputLayout) => {
    const m = new OnnxModel();
    m.input('x', ['N', 3, 16, 16]);
    const first = m.node('Conv', ['x', m.constant('w', [16, 3, 3, 3], numbers(432, 0.3))], {
      pads: [1, 1, 1, 1],
    });
    // Below 0 a border of zeros would win.
    const pooled = m.node('MaxPool', [first], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
    const second = block(m, pooled, 'second', [16, 32, 3], { activation: 'HardSwish' });
    m.output(m.node('Flatten', [m.node('GlobalAveragePool', [second])], {}, { outputs: ['y'] }));
    const bytes = m.bytes();
    const data = numbers(768, 2);
    const { y } = await runOnnx(bytes, { x: { shape: [1, 3, 16, 16], data } });
    const { files } = await convertOnnx(bytes, 'small.onnx', { bits: 8, blockSize: 16, inputLayout });
    const model = await loadFiles(files);
    const last = Float32Array.from(data, (_, n) => data[(n % 3) * 256 + Math.floor(n / 3)]!);
    const x = inputLayout === 'nchw' ? tensor(data, [1, 3, 16, 16]) : tensor(last, [1, 16, 16, 3]);
    const plan = await compile((picture) => model.predict(picture) as Tensor, x);
    expect(plan.reason).toBeNull();
    for (const output of [model.predict(x), await plan.run(x)] as Tensor[]) {
      const found = output.dataSync() as Float32Array;
      expect(signalToNoise(Float32Array.from(y!.data), found)).toBeGreaterThan(30);
    }
    plan.dispose();
    model.dispose();
  });
});

/** Down, up and across, with what exporters of segmenters write. */
function segmenter(): Uint8Array {
  const m = new OnnxModel(13);
  m.input('x', ['N', 3, 32, 40]);
  const first = block(m, 'x', 'first', [3, 16, 3], { stride: 2 });
  const down = block(m, first, 'down', [16, 32, 3], { stride: 2 });
  const atrous = m.node('Conv', [down, m.constant('atrous', [32, 32, 3, 3], numbers(9216, 0.08))], {
    dilations: [2, 2],
    pads: [2, 2, 2, 2],
  });
  // Pooled to one pixel, gated, and brought back to the picture's size.
  const context = m.node('GlobalAveragePool', [atrous]);
  const gate = m.node('HardSigmoid', [
    m.node('Conv', [context, m.constant('gate', [32, 32, 1, 1], numbers(1024, 0.3))]),
  ]);
  const gated = m.node('Mul', [m.node('Relu', [atrous]), gate]);
  const up = m.node(
    'ConvTranspose',
    [
      gated,
      m.constant('up', [32, 16, 4, 4], numbers(8192, 0.1, 1)),
      m.constant('up.bias', [16], numbers(16, 0.1)),
    ],
    {
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    },
  );
  const skip = m.node('Concat', [up, first], { axis: 1 });
  const logits = m.node('Conv', [skip, m.constant('head', [5, 32, 1, 1], numbers(160, 0.3, 2))]);
  const shape = m.node('Shape', ['x']);
  const sizes = m.node('Slice', [shape, m.numbers([2]), m.numbers([4]), m.numbers([0])]);
  const front = m.node('Slice', [m.node('Shape', [logits]), m.numbers([0]), m.numbers([2]), m.numbers([0])]);
  const whole = m.node('Resize', [logits, '', '', m.node('Concat', [front, sizes], { axis: 0 })], {
    mode: 'linear',
    coordinate_transformation_mode: 'half_pixel',
  });
  m.output(m.node('Softmax', [whole], { axis: 1 }, { outputs: ['scores'] }));
  m.output(m.node('ArgMax', [whole], { axis: 1, keepdims: 0 }, { outputs: ['labels'] }), 'int64');
  return m.bytes();
}

describe('a segmenter', () => {
  it.each(['nchw', 'nhwc'] as const)('with its outputs as %s', async (outputLayout) => {
    const bytes = segmenter();
    const feeds = { x: feed([2, 3, 32, 40]) };
    const expected = await runOnnx(bytes, feeds);
    const imported = await readOnnx(bytes, 'segmenter.onnx', { outputLayout });
    const found = await runImported(imported, feeds);
    expectClose(found.labels!, expected.labels!, 1e-6, 'labels');
    const { shape, data } = expected.scores!;
    const [batch, channels, height, width] = shape as [number, number, number, number];
    const turned = {
      shape: [batch, height, width, channels],
      data: data.map((_, n) => {
        const [c, pixel] = [n % channels, Math.floor(n / channels)];
        const picture = Math.floor(pixel / (height * width));
        return data[(picture * channels + c) * height * width + (pixel % (height * width))]!;
      }),
    };
    expectClose(found.scores!, outputLayout === 'nchw' ? expected.scores! : turned, 1e-5, 'scores');
    expect(operators(imported).Transpose).toBe(outputLayout === 'nchw' ? 2 : 1);
  });

  it('is fitted on pictures, whose channels come first', async () => {
    const count = 4;
    const read = async (n: number, shape: readonly number[]) => numbers(size(shape), 1, n);
    const { report } = await convertOnnx(segmenter(), 'segmenter.onnx', {
      bits: 4,
      blockSize: 16,
      pictures: { count, read },
    });
    expect(report.accuracy).toMatchObject({ pictures: 4, rounded: [] });
    expect(report.verification.outputs.find(({ name }) => name === 'scores')!.snrDb).toBeGreaterThan(15);
  });

  it('is converted near', async () => {
    const { report } = await convertOnnx(segmenter(), 'segmenter.onnx', {
      bits: 8,
      blockSize: 16,
      inputLayout: 'nhwc',
    });
    expect(report.kept).toMatchObject({ Conv2DBackpropInput: 1, ResizeBilinear: 1 });
    expect(report.verification.foldingSnrDb).toBeGreaterThan(80);
    expect(report.verification.outputs.find(({ name }) => name === 'scores')!.snrDb).toBeGreaterThan(30);
  });
});
