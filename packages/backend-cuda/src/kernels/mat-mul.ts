/** `BatchMatMul` and `_FusedMatMul`, with any batches that broadcast. */
import { _FusedMatMul, BatchMatMul, broadcast_util, type TensorInfo, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packGemm } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { type FloatEpilogue, type FusedAttributes, fusedEpilogue } from './conv2d-epilogue.js';
import { aligned, countable, inFours, launchProduct, type TilingChoice } from './mat-mul-tiles.js';

/** Axes of a batch that the kernels count. */
const BATCH_AXES = 4;

/** Matrices along each axis of the batch of results, and how many matrices of a and b lie between neighbours there: 0 repeats. */
export interface MatMulBatch {
  shape: readonly number[];
  aSteps: readonly number[];
  bSteps: readonly number[];
}

export interface MatMulCall {
  /** Device addresses of float32 `[batch, m, k]` (`[batch, k, m]` with transposeA), `[batch, k, n]` (`[batch, n, k]`) and `[batch, m, n]`. */
  a: number;
  b: number;
  y: number;
  m: number;
  k: number;
  n: number;
  transposeA: boolean;
  transposeB: boolean;
  /** At most four axes. */
  batch: MatMulBatch;
  epilogue: FloatEpilogue;
  choice?: TilingChoice;
}

export function launchMatMul(launcher: Launcher, call: MatMulCall): void {
  const { a, b, m, k, n, transposeA, transposeB, epilogue } = call;
  const four = (values: readonly number[], fill: number): number[] => [
    ...Array<number>(BATCH_AXES - values.length).fill(fill),
    ...values,
  ];
  const batch = util.sizeFromShape([...call.batch.shape]);
  const product = {
    name: 'gemm' as const,
    m,
    n,
    depth: k,
    count: batch,
    vector: inFours(transposeA ? m : k, transposeB ? k : n, n) && aligned(a, b, call.y, epilogue.residual),
    y: call.y,
    rows: batch * m,
    columns: n,
    epilogue,
    choice: call.choice,
  };
  launchProduct(launcher, product, ({ tilesM, tilesN, splits, splitDepth }, target) =>
    packGemm({
      ...target,
      a,
      b,
      m,
      n,
      k,
      transposeA: Number(transposeA),
      transposeB: Number(transposeB),
      batchShape: four(call.batch.shape, 1),
      aSteps: four(call.batch.aSteps, 0),
      bSteps: four(call.batch.bSteps, 0),
      tilesN,
      tilesM,
      batch,
      splits,
      splitDepth,
    }),
  );
}

/** The batch of two stacks of matrices, neighbouring axes joined where both have them alike. @throws Error where they do not broadcast */
export function matMulBatch(a: readonly number[], b: readonly number[]): MatMulBatch {
  const shape = broadcast_util.assertAndGetBroadcastShape([...a], [...b]);
  const stepsOf = (own: readonly number[]): number[] => {
    const full = [...Array<number>(shape.length - own.length).fill(1), ...own];
    return full.map((size, axis) => (size === 1 ? 0 : util.sizeFromShape(full.slice(axis + 1))));
  };
  const [aSteps, bSteps] = [stepsOf(a), stepsOf(b)];
  const joined: { size: number; a: number; b: number }[] = [];
  shape.forEach((size, axis) => {
    const before = joined.at(-1);
    const [stepA, stepB] = [aSteps[axis]!, bSteps[axis]!];
    if (size === 1) return;
    if (before && before.a === stepA * size && before.b === stepB * size) {
      Object.assign(before, { size: before.size * size, a: stepA, b: stepB });
    } else joined.push({ size, a: stepA, b: stepB });
  });
  return {
    shape: joined.map(({ size }) => size),
    aSteps: joined.map((axis) => axis.a),
    bSteps: joined.map((axis) => axis.b),
  };
}

interface Attributes extends FusedAttributes {
  transposeA: boolean;
  transposeB: boolean;
}

function multiply(kernelName: string, call: KernelArguments<Attributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [a, b] = [inputs.a!, inputs.b!];
  const { transposeA = false, transposeB = false } = attrs;
  const m = a.shape.at(transposeA ? -1 : -2)!;
  const k = a.shape.at(transposeA ? -2 : -1)!;
  const n = b.shape.at(transposeB ? -2 : -1)!;
  // Inner sizes that differ are left to the CPU's message.
  const same = k === b.shape.at(transposeB ? -1 : -2);
  const lead = broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const batch = matMulBatch(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...lead, m, n];
  const served =
    same &&
    a.dtype === 'float32' &&
    b.dtype === 'float32' &&
    batch.shape.length <= BATCH_AXES &&
    countable(m, n, k + LARGEST_STEP, util.sizeFromShape(lead), util.sizeFromShape(lead) * m);
  const epilogue = served ? fusedEpilogue(backend, inputs, attrs, shape) : null;
  if (!epilogue) return runOnHost(kernelName, call);
  return backend.make(shape, 'float32', (y) =>
    launchMatMul(backend, {
      a: backend.tensor(a).address,
      b: backend.tensor(b).address,
      y: y.address,
      m,
      k,
      n,
      transposeA,
      transposeB,
      batch,
      epilogue,
    }),
  );
}

/** By so much depths are rounded up. */
const LARGEST_STEP = 8;

export const matMulKernels: readonly CudaKernel[] = [BatchMatMul, _FusedMatMul].map((name) =>
  kernelConfig<Attributes>(name, (call) => multiply(name, call)),
);
