/** What a backend must do beside computing: one function per behaviour, which returns null or one sentence on what went wrong. */
import { DSConvError, type DSConvFilter, runSelfTest, type ShifterName } from '@dsconv/core';
import {
  backend,
  dispose,
  getKernel,
  grads,
  memory,
  reshape,
  type Tensor,
  type Tensor3D,
  type Tensor4D,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import { type CaseTensors, callOperator, upload } from './call.js';
import type { Behaviour, BehaviourCase, NumericCase, OperatorCase } from './case.js';
import { compareOutput } from './compare.js';
import { type CaseData, makeData } from './data.js';
import { gradientReference } from './gradient.js';

type Problem = string | null;

/** Observes a behaviour on the current backend. */
export async function runBehaviour(testCase: BehaviourCase, backendName: string): Promise<Problem> {
  return OBSERVERS[testCase.behaviour](testCase.on, backendName);
}

const OBSERVERS: Record<Behaviour, (c: OperatorCase, backendName: string) => Promise<Problem>> = {
  'known-answer': knownAnswer,
  'inputs-untouched': inputsUntouched,
  'filter-untouched': filterUntouched,
  deterministic,
  'disposed-filter': disposedFilter,
  'interleaved-filters': interleavedFilters,
  'input-sizes': inputSizes,
  'dispose-others': disposeOthers,
  'memory-flat': memoryFlat,
  tidy: insideTidy,
  'rank-3': rank3,
  gradient,
};

/** Runs the operator once and reads the result. */
async function evaluate(c: OperatorCase, filter: DSConvFilter, data: CaseData): Promise<Float32Array> {
  const inputs = upload(c, data);
  const y = callOperator(c, filter, inputs);
  const output = (await y.data()) as Float32Array;
  const copy = output.slice();
  dispose([y, ...tensorsOf(inputs)]);
  return copy;
}

function tensorsOf(inputs: CaseTensors): Tensor[] {
  return Object.values(inputs) as Tensor[];
}

/** Compares with the exact reference; names the call in the sentence. */
function judge(c: OperatorCase, data: CaseData, output: Float32Array, what: string): Problem {
  const testCase: NumericCase = { ...c, tier: 'exact', level: 'core' };
  const mismatch = compareOutput(testCase, data, output);
  if (!mismatch) return null;
  return `${what}: output [${mismatch.index.join(', ')}] is ${mismatch.value}; expected ${mismatch.reference}`;
}

async function knownAnswer(_: OperatorCase, backendName: string): Promise<Problem> {
  await runSelfTest(backendName, backend(), (kernel) => {
    const config = getKernel(kernel, backendName);
    if (!config) throw new Error(`backend '${backendName}' has no ${kernel} kernel`);
    return config.kernelFunc;
  });
  return null;
}

async function inputsUntouched(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const pristine = makeData(c);
  const inputs = upload(c, data);
  const y = callOperator(c, data.filter, inputs);
  await y.data();
  let problem: Problem = null;
  for (const name of ['x', 'bias', 'residual', 'preluActivationWeights'] as const) {
    if (!inputs[name]) continue;
    const found = await inputs[name].data();
    const wanted = pristine[name]!;
    const at = wanted.findIndex(
      (value, n) => !Object.is(value, found[n]) || !Object.is(value, data[name]![n]),
    );
    if (at >= 0) {
      problem ??= `the operator wrote to its input ${name}: element ${at} is ${found[at]} and was ${wanted[at]}`;
    }
  }
  dispose([y, ...tensorsOf(inputs)]);
  data.filter.dispose();
  pristine.filter.dispose();
  return problem;
}

const SHIFTERS: readonly ShifterName[] = ['kds', 'kdsBias', 'cds', 'cdsBias'];

async function filterUntouched(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const parts = (): (ArrayLike<number> | undefined)[] => [
    data.filter.vqk,
    ...SHIFTERS.map((name) => data.filter.stored(name)?.data),
  ];
  const before = parts().map((part) => part && Array.from(part));
  await evaluate(c, data.filter, data);
  const after = parts().map((part) => part && Array.from(part));
  data.filter.dispose();
  const changed = before.findIndex((part, n) => part?.join() !== after[n]?.join());
  return changed < 0 ? null : `the operator wrote to the filter's ${['vqk', ...SHIFTERS][changed]}`;
}

async function deterministic(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const first = await evaluate(c, data.filter, data);
  const second = await evaluate(c, data.filter, data);
  data.filter.dispose();
  const at = first.findIndex((value, n) => !Object.is(value, second[n]));
  return at < 0 ? null : `two runs differ: output ${at} is ${first[at]}, then ${second[at]}`;
}

async function disposedFilter(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  // Used once before, so that a backend which keeps a packing has one.
  await evaluate(c, data.filter, data);
  data.filter.dispose();
  const inputs = upload(c, data);
  try {
    dispose(callOperator(c, data.filter, inputs));
    return 'a disposed filter was accepted; expected a DisposedError';
  } catch (error) {
    const code = error instanceof DSConvError ? error.code : undefined;
    return code === 'DISPOSED' ? null : `a disposed filter gave ${String(error)}; expected a DisposedError`;
  } finally {
    dispose(tensorsOf(inputs));
  }
}

async function interleavedFilters(c: OperatorCase): Promise<Problem> {
  const calls = [c, { ...c, seed: c.seed + 1 }].map((call) => ({ call, data: makeData(call) }));
  let problem: Problem = null;
  for (const { call, data } of [...calls, ...calls]) {
    const output = await evaluate(call, data.filter, data);
    problem ??= judge(call, data, output, 'two filters of one shape in turns');
  }
  for (const { data } of calls) data.filter.dispose();
  return problem;
}

async function inputSizes(c: OperatorCase): Promise<Problem> {
  const first = makeData(c);
  let problem: Problem = null;
  const [batch, height, width, channels] = c.inputShape;
  for (const extra of [0, 3, 1, 0]) {
    const inputShape: OperatorCase['inputShape'] = [
      batch + (extra % 2),
      height + extra,
      width + 2 * extra,
      channels,
    ];
    const call = { ...c, inputShape };
    const data = makeData(call);
    data.filter.dispose();
    data.filter = first.filter;
    const output = await evaluate(call, first.filter, data);
    problem ??= judge(call, data, output, `one filter on an input of shape [${inputShape}]`);
  }
  first.filter.dispose();
  return problem;
}

async function disposeOthers(c: OperatorCase): Promise<Problem> {
  const kept = makeData(c);
  const other = makeData({ ...c, seed: c.seed + 1 });
  await evaluate(c, kept.filter, kept);
  await evaluate(c, other.filter, other);
  other.filter.dispose();
  const third = makeData({ ...c, seed: c.seed + 2 });
  await evaluate(c, third.filter, third);
  const output = await evaluate(c, kept.filter, kept);
  const problem = judge(c, kept, output, 'after another filter was disposed');
  kept.filter.dispose();
  third.filter.dispose();
  return problem;
}

async function memoryFlat(c: OperatorCase): Promise<Problem> {
  const round = async (seed: number): Promise<void> => {
    const call = { ...c, seed };
    const data = makeData(call);
    await evaluate(call, data.filter, data);
    data.filter.dispose();
  };
  const state = () => {
    const { numTensors, numDataBuffers, numBytes } = memory();
    return { numTensors, numDataBuffers, numBytes, numDataIds: numDataIds() };
  };
  // The first rounds may create what is kept for good, such as compiled programs.
  for (let n = 0; n < 2; n++) await round(n);
  const before = JSON.stringify(state());
  for (let n = 0; n < 20; n++) await round(n);
  const after = JSON.stringify(state());
  return before === after
    ? null
    : `20 filters made, used and disposed took the memory from ${before} to ${after}`;
}

/** Buffers the backend itself holds, which includes those TensorFlow.js has lost sight of; not every backend can say. */
function numDataIds(): number | undefined {
  try {
    return backend().numDataIds();
  } catch {
    return undefined;
  }
}

async function insideTidy(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const inputs = upload(c, data);
  const before = memory().numTensors;
  const y = tidy(() => callOperator(c, data.filter, inputs));
  const kept = memory().numTensors - before;
  const output = (await y.data()) as Float32Array;
  const problem = judge(c, data, output, 'inside tf.tidy');
  dispose([y, ...tensorsOf(inputs)]);
  data.filter.dispose();
  return problem ?? (kept === 1 ? null : `the operator left ${kept} tensors after tf.tidy; expected 1`);
}

async function rank3(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const inputs = upload(c, data);
  const y = tidy(() => {
    const [, height, width, channels] = c.inputShape;
    const x = reshape(inputs.x, [height, width, channels]) as Tensor3D;
    const call = callOperator(c, data.filter, { ...inputs, x: x as unknown as Tensor4D });
    return call as Tensor;
  });
  const output = (await y.data()) as Float32Array;
  const problem =
    y.rank === 3
      ? judge(c, data, output, 'an input without batch')
      : `the output has rank ${y.rank}; expected 3`;
  dispose([y, ...tensorsOf(inputs)]);
  data.filter.dispose();
  return problem;
}

/** Float32 kernels of TensorFlow.js compute the gradient; relative to the size of the terms they may err this much. */
const GRADIENT_TOLERANCE = 1e-5;

async function gradient(c: OperatorCase): Promise<Problem> {
  const data = makeData(c);
  const { dy, expected } = gradientReference(c, data);
  const inputs = upload(c, data);
  const names = Object.keys(inputs);
  const { batch, outHeight, outWidth, outChannels } = data.geometry;
  const dyTensor = tensor4d(dy, [batch, outHeight, outWidth, outChannels]);
  const differentiate = grads((...tensors: Tensor[]) => {
    const named = Object.fromEntries(names.map((name, n) => [name, tensors[n]!]));
    return callOperator(c, data.filter, named as unknown as CaseTensors);
  });
  const found = tidy(() => differentiate(tensorsOf(inputs), dyTensor));
  let problem: Problem = null;
  for (const [n, name] of names.entries()) {
    const values = await found[n]!.data();
    const { value, magnitude } = expected[name]!;
    const at = value.findIndex(
      (wanted, k) => !(Math.abs(values[k]! - wanted) <= GRADIENT_TOLERANCE * magnitude[k]!),
    );
    if (at >= 0) {
      problem ??= `the gradient of ${name} is ${values[at]} at element ${at}; expected ${value[at]}`;
    }
  }
  dispose([...found, dyTensor, ...tensorsOf(inputs)]);
  data.filter.dispose();
  return problem;
}
