/** Tensors of every type, as raw bytes and as lists, and weights of those types in a network. */
import { setBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TensorProto } from '../../src/onnx/proto.js';
import { readTensor } from '../../src/onnx/read-tensor.js';
import { expectAsRuntime, feed } from '../support/onnx/against-runtime.js';
import { OnnxModel, rawBytes, type Type } from '../support/onnx/model.js';

beforeAll(async () => {
  await setBackend('cpu');
});

const proto = (type: number, dims: number[], rest: Partial<TensorProto>): TensorProto => ({
  name: 't',
  dims,
  type,
  raw: null,
  floats: [],
  integers: [],
  external: null,
  ...rest,
});

/** Bytes at an odd place, as they may lie in a file. */
function shifted(bytes: Uint8Array): Uint8Array {
  const wide = new Uint8Array(bytes.length + 1);
  wide.set(bytes, 1);
  return wide.subarray(1);
}

/** 1, -2 and 0.5 as float16 and as bfloat16. */
const HALVES = [0x3c00, 0xc000, 0x3800];
const BRAINS = [0x3f80, 0xc000, 0x3f00];

describe('values', () => {
  it.each<[string, number, Uint8Array, number[]]>([
    ['float32', 1, rawBytes('float32', [1, -2, 0.5]), [1, -2, 0.5]],
    ['uint8', 2, rawBytes('uint8', [0, 200, 255]), [0, 200, 255]],
    ['int8', 3, rawBytes('int8', [0, -100, 127]), [0, -100, 127]],
    ['uint16', 4, Uint8Array.of(1, 0, 0, 1, 255, 255), [1, 256, 65535]],
    ['int16', 5, Uint8Array.of(1, 0, 0, 1, 255, 255), [1, 256, -1]],
    ['int32', 6, rawBytes('int32', [1, -(2 ** 31), 7]), [1, -(2 ** 31), 7]],
    ['int64', 7, rawBytes('int64', [1, -5, 2 ** 40]), [1, -5, 2 ** 40]],
    ['bool', 9, Uint8Array.of(0, 1, 3), [0, 1, 1]],
    ['float16', 10, rawBytes('float16', HALVES), [1, -2, 0.5]],
    ['double', 11, rawBytes('double', [1, -2, 0.1]), [1, -2, Math.fround(0.1)]],
    ['uint32', 12, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 128, 255, 255, 255, 255), [1, 2 ** 31, 2 ** 32 - 1]],
    ['bfloat16', 16, rawBytes('bfloat16', [1, -2, 0.5]), [1, -2, 0.5]],
    ['uint4', 21, Uint8Array.of(0xf1, 0x08), [1, 15, 8]],
    ['int4', 22, Uint8Array.of(0xf1, 0x08), [1, -1, -8]],
  ])('of %s', (name, type, raw, values) => {
    const read = readTensor(proto(type, [3], { raw: shifted(raw) }));
    expect(read).toMatchObject({ shape: [3], type: name });
    expect([...(read as { data: Float32Array }).data]).toEqual(values);
    const cut = readTensor(proto(type, [3], { raw: raw.subarray(1) }));
    expect(cut).toMatch(
      new RegExp(`has ${raw.length - 1} bytes for \\[3\\] of ${name}; expected ${raw.length}`),
    );
  });

  it.each<[string, number, Partial<TensorProto>, number[]]>([
    ['float32', 1, { floats: [1, -2, 0.5] }, [1, -2, 0.5]],
    ['double', 11, { floats: [1, -2, 0.1] }, [1, -2, Math.fround(0.1)]],
    ['int64', 7, { integers: [1, -5, 7] }, [1, -5, 7]],
    ['float16', 10, { integers: HALVES }, [1, -2, 0.5]],
    ['bfloat16', 16, { integers: BRAINS }, [1, -2, 0.5]],
    ['int4', 22, { integers: [0xf1, 0x08] }, [1, -1, -8]],
  ])('of %s in a list', (_, type, lists, values) => {
    const read = readTensor(proto(type, [3], lists)) as { data: Float32Array };
    expect([...read.data]).toEqual(values);
    expect(readTensor(proto(type, [30], lists))).toMatch(/values for \[30\]; expected 30/);
  });

  it('of no numbers are refused', () => {
    expect(readTensor(proto(8, [1], {}))).toBe(
      'has values of type string; expected floats, integers or booleans',
    );
    expect(readTensor(proto(17, [1], {}))).toMatch(/type number 17/);
  });
});

it('weights of every type are what ONNX Runtime makes of them', async () => {
  const m = new OnnxModel(13);
  m.input('x', [2, 3]);
  const types: [Type, number[]][] = [
    ['float16', HALVES],
    ['double', [0.1, -2, 3e5]],
    ['int8', [-100, 0, 7]],
    ['uint8', [200, 0, 7]],
    ['int32', [-70000, 0, 7]],
    ['int64', [-70000, 0, 7]],
    ['bool', [1, 0, 1]],
  ];
  for (const [type, values] of types) {
    const float = m.node('Cast', [m.constant(type, [3], values, type)], { to: 1 });
    m.output(m.node('Add', ['x', float], {}, { outputs: [`y.${type}`] }));
  }
  await expectAsRuntime(m.bytes(), { x: feed([2, 3]) });
});
