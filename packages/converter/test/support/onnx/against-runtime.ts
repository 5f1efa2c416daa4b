/** Imported ONNX models against ONNX Runtime, element by element. */
import { type Tensor as TfTensor, tensor, tidy } from '@tensorflow/tfjs-core';
import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { expect } from 'vitest';
import { loadGraph } from '../../../src/graph/run-model.js';
import { registerDSConvOps } from '../../../src/graph/runtime/index.js';
import { type OnnxGraph, readOnnx } from '../../../src/onnx/read-onnx.js';
import type { ImportOptions } from '../../../src/onnx/signature.js';

env.wasm.numThreads = 1;
env.logLevel = 'error';
registerDSConvOps();

export interface Feed {
  shape: number[];
  data: Float32Array | Int32Array;
  /** Of ONNX; float32 by default. */
  type?: 'float32' | 'int64' | 'int32' | 'uint8' | 'bool';
}

export interface Result {
  shape: readonly number[];
  data: number[];
}

/** Numbers without a pattern, of size `scale`. */
export const numbers = (length: number, scale = 1, phase = 0): Float32Array =>
  Float32Array.from({ length }, (_, n) => scale * Math.sin(n * 12.9898 + n * n * 0.0137 + phase));

export const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** An input without a pattern. */
export const feed = (shape: number[], scale = 1, phase = 0): Feed => ({
  shape,
  data: numbers(size(shape), scale, phase),
});

export async function runOnnx(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
): Promise<Record<string, Result>> {
  const session = await InferenceSession.create(bytes, { executionProviders: ['wasm'] });
  const inputs = Object.entries(feeds).map(([name, { shape, data, type = 'float32' }]) => {
    const typed =
      type === 'int64'
        ? BigInt64Array.from(data, BigInt)
        : type === 'uint8' || type === 'bool'
          ? Uint8Array.from(data)
          : data;
    return [name, new Tensor(type, typed as never, shape)] as const;
  });
  const outputs = await session.run(Object.fromEntries(inputs));
  const results: Record<string, Result> = {};
  for (const [name, output] of Object.entries(outputs)) {
    results[name] = {
      shape: output.dims,
      data: Array.from((await output.getData()) as Float32Array, Number),
    };
  }
  await session.release();
  return results;
}

/** Runs the graph by the names of its signature, as a program would. */
export async function runImported(
  { graph, source }: Pick<OnnxGraph, 'graph' | 'source'>,
  feeds: Readonly<Record<string, Feed>>,
): Promise<Record<string, Result>> {
  const model = await loadGraph(graph, source);
  const names = Object.keys((source.signature as { outputs: object }).outputs);
  const results = tidy(() => {
    const inputs = Object.entries(feeds).map(([name, { shape, data, type = 'float32' }]) => {
      return [
        name,
        tensor(data, shape, type === 'float32' ? type : type === 'bool' ? 'bool' : 'int32'),
      ] as const;
    });
    const nodes = [...graph.outputs];
    const found = model.execute(Object.fromEntries(inputs), nodes) as TfTensor | TfTensor[];
    const list = Array.isArray(found) ? found : [found];
    return Object.fromEntries(
      names.map((name, n) => [name, { shape: list[n]!.shape, data: [...list[n]!.dataSync()] }]),
    );
  });
  model.dispose();
  return results;
}

/** Every element within `tolerance` of the largest one. */
export function expectClose(found: Result, expected: Result, tolerance: number, what: string): void {
  expect(found.shape, what).toEqual(expected.shape);
  const largest = expected.data.reduce(
    (most, value) => Math.max(most, Number.isFinite(value) ? Math.abs(value) : 0),
    1e-6,
  );
  const worst = expected.data.findIndex((value, n) => {
    const other = found.data[n]!;
    return !(
      value === other ||
      Math.abs(value - other) <= tolerance * largest ||
      (Number.isNaN(value) && Number.isNaN(other))
    );
  });
  if (worst >= 0) {
    expect.fail(
      `${what}: element ${worst} is ${found.data[worst]}; ONNX Runtime has ${expected.data[worst]}`,
    );
  }
}

/** Imports a model and holds every output against ONNX Runtime's. */
export async function expectAsRuntime(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
  { tolerance = 2e-6, ...options }: ImportOptions & { tolerance?: number } = {},
): Promise<OnnxGraph> {
  const expected = await runOnnx(bytes, feeds);
  const imported = await readOnnx(bytes, 'test.onnx', options);
  const found = await runImported(imported, feeds);
  expect(Object.keys(found)).toEqual(Object.keys(expected));
  for (const [name, result] of Object.entries(expected)) expectClose(found[name]!, result, tolerance, name);
  return imported;
}

/** How often each operator is in the graph, constants not counted. */
export function operators({ graph }: Pick<OnnxGraph, 'graph'>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.nodes.values()) if (op !== 'Const') counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}
