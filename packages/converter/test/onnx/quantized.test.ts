/** Quantized ONNX models: weights become floats exactly, roundings of activations go, and what clips on purpose stays. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import { beforeAll, describe, expect, it } from 'vitest';
import { signalToNoise } from '../../src/index.js';
import { convertOnnx } from '../../src/onnx/convert-onnx.js';
import { type OnnxGraph, readOnnx } from '../../src/onnx/read-onnx.js';
import {
  expectAsRuntime,
  feed,
  numbers,
  operators,
  runImported,
  runOnnx,
  size,
} from '../support/onnx/against-runtime.js';
import { OnnxModel } from '../support/onnx/model.js';

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
});

const SHAPE = [1, 3, 12, 12];

/** Signed or unsigned bytes without a pattern. */
const integers = (length: number, phase = 0): number[] => Array.from(numbers(length, 100, phase), Math.round);

/** Near ONNX Runtime's, which rounds activations. */
async function expectNear(bytes: Uint8Array, least: number): Promise<OnnxGraph> {
  const feeds = { x: feed(SHAPE) };
  const expected = await runOnnx(bytes, feeds);
  const imported = await readOnnx(bytes, 'quantized.onnx', {});
  const found = await runImported(imported, feeds);
  for (const [name, { shape, data }] of Object.entries(expected)) {
    expect(found[name]!.shape).toEqual(shape);
    expect(signalToNoise(Float32Array.from(data), Float32Array.from(found[name]!.data))).toBeGreaterThan(
      least,
    );
  }
  return imported;
}

/** Scale and zero point of an activation. */
function quantization(
  m: OnnxModel,
  scale: number,
  zeroPoint: number,
  type: 'uint8' | 'int8' = 'uint8',
): [string, string] {
  return [m.numbers(scale, 'float32'), m.numbers(zeroPoint, type)];
}

/** Rounds an activation and gives floats back. */
function rounded(
  m: OnnxModel,
  x: string,
  scale: number,
  zeroPoint: number,
  type: 'uint8' | 'int8' = 'uint8',
): string {
  const how = quantization(m, scale, zeroPoint, type);
  return m.node('DequantizeLinear', [m.node('QuantizeLinear', [x, ...how]), ...how]);
}

/** Weights of `[outputs, …]` as int8 with a scale for each output. */
function weights(m: OnnxModel, name: string, shape: number[], scale: number): string {
  const [outputs] = shape as [number];
  const w = m.constant(`${name}.q`, shape, integers(size(shape), name.length), 'int8');
  const scales = m.constant(
    `${name}.scale`,
    [outputs],
    numbers(outputs, scale / 3).map((value) => scale + value),
  );
  const zeros = m.constant(`${name}.zero`, [outputs], new Array(outputs).fill(0), 'int8');
  return m.node('DequantizeLinear', [w, scales, zeros], { axis: 0 });
}

/** As quantizers of the QDQ kind write them, a ReLU6 and a ReLU left to the quantization behind them. */
function qdq(): Uint8Array {
  const m = new OnnxModel(13);
  m.input('x', SHAPE);
  let x = rounded(m, 'x', 1 / 127, 128);
  const bias = m.constant('b.q', [16], integers(16), 'int32');
  const first = m.node('DequantizeLinear', [bias, m.numbers(0.01, 'float32')]);
  x = m.node(
    'Conv',
    [x, weights(m, 'first', [16, 3, 3, 3], 0.01), first],
    { pads: [1, 1, 1, 1] },
    { name: 'first' },
  );
  x = rounded(m, x, 6 / 255, 0);
  x = m.node(
    'Conv',
    [x, weights(m, 'dw', [16, 1, 3, 3], 0.002)],
    { group: 16, pads: [1, 1, 1, 1] },
    { name: 'dw' },
  );
  x = rounded(m, x, 0.02, -128, 'int8');
  x = m.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  x = m.node('Flatten', [m.node('GlobalAveragePool', [rounded(m, x, 0.02, -128, 'int8')])]);
  const fc = m.node('DequantizeLinear', [
    m.constant('fc.q', [10, 16], integers(160, 3), 'int8'),
    m.numbers(0.01, 'float32'),
    m.numbers(3, 'int8'),
  ]);
  m.output(m.node('Gemm', [rounded(m, x, 0.01, 0), fc], { transB: 1 }, { outputs: ['y'], name: 'fc' }));
  return m.bytes();
}

describe('QDQ', () => {
  it('runs as in ONNX Runtime up to the roundings', async () => {
    const imported = await expectNear(qdq(), 25);
    expect(operators(imported)).toEqual({
      Placeholder: 1,
      Transpose: 1,
      Conv2D: 1,
      BiasAdd: 1,
      Relu6: 1,
      DepthwiseConv2dNative: 1,
      Relu: 1,
      MaxPool: 1,
      Mean: 1,
      Reshape: 1,
      MatMul: 1,
    });
    expect(imported.dropped).toHaveLength(5);
    expect(imported.dropped[0]).toMatchObject({ op: 'QuantizeLinear' });
  });

  it('is converted to our own bits', async () => {
    const { report } = await convertOnnx(qdq(), 'quantized.onnx', { bits: 8, blockSize: 16 });
    expect(report.layers.map(({ kind }) => kind)).toEqual(['conv2d', 'depthwise', 'dense']);
    expect(report.dropped).toHaveLength(5);
    expect(report.verification.outputs[0]!.snrDb).toBeGreaterThan(30);
  });

  it('weights that a float model only pretends to quantize are rounded as it says, in blocks too', async () => {
    const m = new OnnxModel(21, 10);
    m.input('x', SHAPE);
    const how = quantization(m, 0.02, 0, 'int8');
    const w = m.node('QuantizeLinear', [m.constant('w', [4, 3, 3, 3], numbers(108)), ...how]);
    m.output(m.node('Conv', ['x', m.node('DequantizeLinear', [w, ...how])], {}, { outputs: ['y'] }));
    const scales = m.constant('scales', [2, 4], numbers(8, 0.01, 2));
    const blocks = m.node('DequantizeLinear', [m.constant('v', [6, 4], integers(24), 'int8'), scales], {
      axis: 0,
      block_size: 3,
    });
    const flat = m.node('Reshape', ['x', m.numbers([-1, 6])]);
    m.output(m.node('MatMul', [flat, blocks], {}, { outputs: ['z'] }));
    const imported = await expectAsRuntime(m.bytes(), { x: feed(SHAPE) }, { tolerance: 1e-5 });
    expect(imported.dropped).toEqual([]);
  });
});

describe('quantized operators', () => {
  it('QLinearConv, QLinearMatMul, QLinearAdd', async () => {
    const m = new OnnxModel(13);
    m.input('x', SHAPE);
    const outside = quantization(m, 1 / 127, 128);
    const inside = quantization(m, 0.06, 0);
    const x = m.node('QuantizeLinear', ['x', ...outside]);
    const w = m.constant('w', [8, 3, 3, 3], integers(216), 'int8');
    const scales = m.constant(
      'scales',
      [8],
      numbers(8, 0.002).map((value) => value + 0.008),
    );
    const zeros = m.constant('zeros', [8], new Array(8).fill(0), 'int8');
    const bias = m.constant('bias', [8], integers(8, 4), 'int32');
    const conv = m.node('QLinearConv', [x, ...outside, w, scales, zeros, ...inside, bias], {
      pads: [1, 1, 1, 1],
    });
    const one = [
      m.constant('u', [8, 8, 1, 1], integers(64, 2), 'int8'),
      ...quantization(m, 0.004, 0, 'int8'),
    ];
    const second = m.node('QLinearConv', [conv, ...inside, ...one, ...inside]);
    const sum = m.node(
      'QLinearAdd',
      [conv, ...inside, second, ...inside, ...inside],
      {},
      { domain: 'com.microsoft' },
    );
    const rows = m.node('Reshape', [m.node('Transpose', [sum], { perm: [0, 2, 3, 1] }), m.numbers([-1, 8])]);
    const matrix = [m.constant('v', [8, 5], integers(40, 7), 'int8'), ...quantization(m, 0.003, 0, 'int8')];
    const result = quantization(m, 0.05, 128);
    const product = m.node('QLinearMatMul', [rows, ...inside, ...matrix, ...result]);
    m.output(m.node('DequantizeLinear', [product, ...result], {}, { outputs: ['y'] }));
    const imported = await expectNear(m.bytes(), 20);
    // Both convolutions and the sum end at 0, as their zero points say.
    expect(operators(imported)).toMatchObject({ Conv2D: 2, Relu: 2, MatMul: 1 });
  });

  it("ONNX Runtime's operators between them", async () => {
    const m = new OnnxModel(13);
    m.input('x', SHAPE);
    const runtime = { domain: 'com.microsoft' };
    const outside = quantization(m, 1 / 127, 128);
    const inside = quantization(m, 0.02, 100);
    const gate = quantization(m, 1 / 255, 0);
    const x = m.node('QuantizeLinear', ['x', ...outside]);
    const w = [m.constant('w', [8, 3, 1, 1], integers(24), 'int8'), ...quantization(m, 0.008, 0, 'int8')];
    const conv = m.node('QLinearConv', [x, ...outside, ...w, ...inside]);
    const leaky = m.node(
      'QLinearLeakyRelu',
      [conv, ...inside, ...inside],
      { alpha: { float: 0.1 } },
      runtime,
    );
    const sigmoid = m.node('QLinearSigmoid', [conv, ...inside, ...gate], {}, runtime);
    const gated = m.node('QLinearMul', [leaky, ...inside, sigmoid, ...gate, ...inside], {}, runtime);
    const parts = [leaky, ...inside, gated, ...inside];
    const both = m.node('QLinearConcat', [...inside, ...parts], { axis: 1 }, runtime);
    m.node('Split', [both, m.numbers([10, 6])], { axis: 1 }, { outputs: ['a', 'b'] });
    const wide = m.node('Resize', ['a', '', m.numbers([1, 1, 2, 2], 'float32')], { mode: 'nearest' });
    const pooled = m.node('QLinearGlobalAveragePool', [wide, ...inside, ...inside], {}, runtime);
    const flat = m.node('Flatten', [pooled]);
    const matrix = [m.constant('v', [5, 10], integers(50, 7), 'int8'), ...quantization(m, 0.004, 0, 'int8')];
    const bias = m.constant('bias', [5], integers(5, 4), 'int32');
    m.output(
      m.node('QGemm', [flat, ...inside, ...matrix, bias], { transB: 1 }, { ...runtime, outputs: ['y'] }),
    );
    m.output(m.node('DequantizeLinear', ['b', ...inside], {}, { outputs: ['z'] }));
    await expectNear(m.bytes(), 20);
  });

  it('ConvInteger and MatMulInteger behind DynamicQuantizeLinear', async () => {
    const m = new OnnxModel(13);
    m.input('x', SHAPE);
    m.node('DynamicQuantizeLinear', ['x'], {}, { outputs: ['q', 'scale', 'zero'] });
    const w = m.constant('w', [8, 3, 3, 3], integers(216), 'int8');
    const conv = m.node('ConvInteger', ['q', w, 'zero', m.numbers(0, 'int8')], { pads: [1, 1, 1, 1] });
    const factor = m.node('Mul', ['scale', m.numbers(0.004, 'float32')]);
    const pixels = m.node('Mul', [m.node('Cast', [conv], { to: 1 }), factor]);
    const flat = m.node('Flatten', [m.node('GlobalAveragePool', [m.node('Relu', [pixels])])]);
    m.node('DynamicQuantizeLinear', [flat], {}, { outputs: ['q2', 'scale2', 'zero2'] });
    const v = m.constant(
      'v',
      [8, 5],
      integers(40, 3).map((value) => value + 128),
      'uint8',
    );
    const product = m.node('MatMulInteger', ['q2', v, 'zero2', m.numbers(120, 'uint8')]);
    const factor2 = m.node('Mul', ['scale2', m.numbers(0.01, 'float32')]);
    m.output(m.node('Mul', [m.node('Cast', [product], { to: 1 }), factor2], {}, { outputs: ['y'] }));
    await expectNear(m.bytes(), 25);
  });

  it('bytes that are the input itself are computed with', async () => {
    const m = new OnnxModel(13);
    m.input('x', [1, 2, 3, 3], 'uint8');
    m.output(m.node('DequantizeLinear', ['x', ...quantization(m, 0.5, 7)], {}, { outputs: ['y'] }));
    const data = Float32Array.from({ length: 18 }, (_, n) => n * 14);
    await expectAsRuntime(m.bytes(), { x: { shape: [1, 2, 3, 3], data, type: 'uint8' } });
  });

  it('integers that something else computes with are refused', async () => {
    const m = new OnnxModel(13);
    m.input('x', [1, 4]);
    const q = m.node('QuantizeLinear', ['x', ...quantization(m, 0.1, 0)], {}, { outputs: ['q'] });
    m.output(m.node('Cast', [q], { to: 1 }, { outputs: ['y'], name: 'cast' }));
    await expect(readOnnx(m.bytes(), 'odd.onnx', {})).rejects.toThrow(
      "odd.onnx: node 'cast' (Cast) reads 'q', which is quantized; expected DequantizeLinear before it",
    );
  });
});
