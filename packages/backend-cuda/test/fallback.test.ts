/** Kernels that run on the CPU: several results, shared data, strings, complex numbers, and the word that is said of it. */
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CudaBackend } from '../src/backend.js';
import { heldOnHost, runOnHost } from '../src/fallback.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

let before: { ids: number; blocks: number };
beforeEach(() => {
  before = { ids: cuda().numDataIds(), blocks: cuda().device.memory.blocks };
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(heldOnHost(cuda()), 'data left on the CPU').toBe(0);
  expect(cuda().numDataIds(), 'data left on the GPU').toBe(before.ids);
  expect(cuda().device.memory.blocks, 'blocks of memory left').toBe(before.blocks);
});

type Values = number[] | string[];

/** Runs a kernel on the CPU with inputs on the device, and reads and frees everything. */
function run(kernel: string, inputs: unknown, attrs: Record<string, unknown> = {}) {
  const backend = cuda();
  const results = [runOnHost(kernel, { inputs: inputs as tf.NamedTensorInfoMap, backend, attrs })].flat();
  const shared = results.map(({ dataId }) => backend.refCount(dataId));
  const read = results.map(({ dataId, shape, dtype }) => ({
    shape,
    dtype,
    values: Array.from(backend.readSync(dataId) as Float32Array) as Values,
  }));
  for (const { dataId } of results) backend.disposeData(dataId);
  return { read, shared };
}

/** A tensor whose values are on the device. */
function given<T extends tf.Tensor>(tensor: T): T {
  (tf.backend() as CudaBackend).tensor(tensor);
  return tensor;
}

test('one result', () => {
  const x = given(tf.tensor1d([3, 1, 2]));
  expect(run('Reverse', { x }, { dims: 0 }).read).toEqual([
    { shape: [3], dtype: 'float32', values: [2, 1, 3] },
  ]);
  x.dispose();
});

test('several results', () => {
  const x = given(tf.tensor1d([5, 3, 5, 7], 'int32'));
  expect(run('Unique', { x }, { axis: 0 }).read).toEqual([
    { shape: [3], dtype: 'int32', values: [5, 3, 7] },
    { shape: [4], dtype: 'int32', values: [0, 1, 0, 2] },
  ]);
  const y = given(tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]));
  expect(
    run('SplitV', { x: y }, { numOrSizeSplits: [1, 2], axis: 0 }).read.map(({ values }) => values),
  ).toEqual([
    [1, 2],
    [3, 4, 5, 6],
  ]);
  tf.dispose([x, y]);
});

test('what shares data on the CPU shares it on the GPU', () => {
  const x = given(tf.tensor1d([1, 2, 3, 4]));
  for (const [kernel, attrs] of [
    ['Reshape', { shape: [2, 2] }],
    ['Identity', {}],
  ] as const) {
    const { read, shared } = run(kernel, { x }, attrs);
    expect(read[0]!.values).toEqual([1, 2, 3, 4]);
    expect(shared).toEqual([2]);
  }
  expect(cuda().refCount(x.dataId)).toBe(1);
  expect(Array.from(x.dataSync())).toEqual([1, 2, 3, 4]);
  x.dispose();
});

test('a cast that shares data on the CPU has bytes of its own on the GPU', () => {
  const x = given(tf.tensor1d([true, false, true], 'bool'));
  const { read, shared } = run('Cast', { x }, { dtype: 'float32' });
  expect(read).toEqual([{ shape: [3], dtype: 'float32', values: [1, 0, 1] }]);
  expect(shared).toEqual([1]);
  x.dispose();
});

test('the same tensor twice, arrays of tensors, arrays by name, missing ones', () => {
  const x = given(tf.tensor1d([1, 2]));
  expect(run('Add', { a: x, b: x }).read[0]!.values).toEqual([2, 4]);
  expect(run('Concat', [x, x], { axis: 0 }).read[0]!.values).toEqual([1, 2, 1, 2]);
  const splits = given(tf.tensor1d([0, 1, 2], 'int32'));
  const indices = given(tf.tensor1d([1, 0], 'int32'));
  const ragged = run(
    'RaggedGather',
    { paramsNestedSplits: [splits], paramsDenseValues: x, indices },
    { outputRaggedRank: 1 },
  );
  expect(ragged.read.map(({ values }) => values)).toEqual([
    [0, 1, 2],
    [2, 1],
  ]);
  const [mean, variance] = [given(tf.tensor1d([1, 1])), given(tf.tensor1d([4, 4]))];
  const normalized = run(
    'FusedBatchNorm',
    { x, mean, variance, scale: undefined, offset: null },
    { varianceEpsilon: 0 },
  );
  expect(normalized.read[0]!.values).toEqual([0, 0.5]);
  tf.dispose([x, splits, indices, mean, variance]);
});

test('strings', () => {
  const words = tf.tensor1d(['a b', 'c']);
  const delimiter = tf.scalar(' ');
  const { read } = run('StringSplit', { input: words, delimiter }, { skipEmpty: true });
  expect(read.map(({ dtype }) => dtype)).toEqual(['int32', 'string', 'int32']);
  expect(read[1]!.values.map((bytes) => new TextDecoder().decode(bytes as unknown as Uint8Array))).toEqual([
    'a',
    'b',
    'c',
  ]);
  tf.dispose([words, delimiter]);
});

test('complex numbers, in and out', async () => {
  const z = tf.tidy(() => tf.fft(tf.complex([1, 0, 0, 0], [0, 0, 0, 0])));
  expect(Array.from(await z.data())).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
  const back = tf.tidy(() => tf.real(tf.ifft(z)));
  expect(Array.from(await back.data())).toEqual([1, 0, 0, 0]);
  tf.dispose([z, back]);
});

test('each kernel is named once, and none in production', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const x = given(tf.tensor1d([1, 2]));
  const of = (kernel: string) =>
    warn.mock.calls.filter(([text]) => String(text).includes(`kernel ${kernel} `));
  run('Cumsum', { x }, { axis: 0, exclusive: false, reverse: false });
  run('Cumsum', { x }, { axis: 0, exclusive: false, reverse: false });
  expect(of('Cumsum')).toHaveLength(1);
  expect(of('Cumsum')[0]![0]).toMatch(/runs on the CPU/);
  tf.env().set('PROD', true);
  run('Cumprod', { x }, { axis: 0, exclusive: false, reverse: false });
  tf.env().set('PROD', false);
  expect(of('Cumprod')).toHaveLength(0);
  x.dispose();
});

test('a kernel that throws leaves nothing behind', () => {
  const x = given(tf.tensor1d([1, 2]));
  expect(() => run('Cast', { x }, { dtype: 'no such' })).toThrow(/failed to cast/);
  x.dispose();
});

test('there is a kernel for every one that the CPU has', () => {
  const names = (backend: string) =>
    new Set(tf.getKernelsForBackend(backend).map(({ kernelName }) => kernelName));
  const own = names('dsconv-cuda');
  expect([...names('cpu')].filter((name) => !own.has(name))).toEqual([]);
});
