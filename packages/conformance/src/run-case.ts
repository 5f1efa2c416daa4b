/** Runs cases on a TensorFlow.js backend by name; knows no test runner. */
import { type DSConvBackend, getDSConvBackend, type Support, specOf } from '@dsconv/core';
import { dispose, setBackend } from '@tensorflow/tfjs-core';
import { runBehaviour } from './behaviours.js';
import { callOperator, upload } from './call.js';
import type { ConformanceCase, NumericCase, OperatorCase, Tier } from './case.js';
import { compareOutput, type Mismatch } from './compare.js';
import { makeData } from './data.js';

/** Lets a backend watch the memory around its buffers. */
export interface Guard {
  /** Called before a case: writes guard words, forgets earlier findings. */
  arm?(): void | Promise<void>;
  /** Called after a case: null, or one sentence on what was overwritten. */
  check(): string | null | Promise<string | null>;
}

/** What is being judged. */
export interface Subject {
  /** The name to give to `tf.setBackend`. */
  backendName: string;
  /** Whose `supports` is asked. Default: the description registered with core under `backendName`. */
  contract?: DSConvBackend;
  guard?: Guard;
}

/** Outcome of one case. */
export type CaseResult = { name: string; tier: Tier; milliseconds: number } & (
  | { status: 'passed' }
  | { status: 'declined'; reason: string }
  | { status: 'failed'; message: string; mismatch?: Mismatch }
);

/** Runs one case. Never throws for what the backend does; the backend is the current one afterwards. */
export async function runCase(testCase: ConformanceCase, subject: Subject): Promise<CaseResult> {
  const start = performance.now();
  const verdict = await judge(testCase, subject).catch((error: unknown) => ({
    status: 'failed' as const,
    message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
  }));
  const { name, tier } = testCase;
  const milliseconds = performance.now() - start;
  return { name, tier, milliseconds, ...verdict };
}

/** Runs cases one after the other. */
export async function runCases(
  cases: readonly ConformanceCase[],
  subject: Subject,
  onResult?: (result: CaseResult) => void,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const testCase of cases) {
    const result = await runCase(testCase, subject);
    onResult?.(result);
    results.push(result);
  }
  return results;
}

type Verdict =
  | { status: 'passed' }
  | { status: 'declined'; reason: string }
  | { status: 'failed'; message: string; mismatch?: Mismatch };

const fail = (message: string): Verdict => ({ status: 'failed', message });

async function judge(testCase: ConformanceCase, subject: Subject): Promise<Verdict> {
  const { backendName, guard } = subject;
  const contract = subject.contract ?? getDSConvBackend(backendName);
  if (!contract) {
    return fail(`backend '${backendName}' is not known to core; expected a call of registerDSConvBackend`);
  }
  const on = testCase.tier === 'behaviour' ? testCase.on : testCase;
  const support = supportOf(on, contract);
  if (support !== true) {
    return testCase.level === 'extended'
      ? { status: 'declined', reason: support.reason }
      : fail(`the backend declines a core case: ${support.reason}`);
  }
  if (!(await setBackend(backendName))) return fail(`tf.setBackend('${backendName}') returned false`);
  await guard?.arm?.();
  const verdict = testCase.tier === 'behaviour' ? await observe(testCase, subject) : await compare(testCase);
  const damage = await guard?.check();
  return verdict.status === 'passed' && damage ? fail(damage) : verdict;
}

async function observe(
  testCase: ConformanceCase & { tier: 'behaviour' },
  subject: Subject,
): Promise<Verdict> {
  const problem = await runBehaviour(testCase, subject.backendName);
  return problem === null ? { status: 'passed' } : fail(problem);
}

async function compare(testCase: NumericCase): Promise<Verdict> {
  const data = makeData(testCase);
  const { geometry: g, filter } = data;
  try {
    const inputs = upload(testCase, data);
    const y = callOperator(testCase, filter, inputs);
    const output = await y.data();
    const shape = [g.batch, g.outHeight, g.outWidth, g.outChannels].join();
    const found = `${y.dtype} of shape [${y.shape}]`;
    dispose([y, ...Object.values(inputs)]);
    if (found !== `float32 of shape [${shape}]`) {
      return fail(`the output is ${found}; expected float32 of shape [${shape}]`);
    }
    const mismatch = compareOutput(testCase, data, output);
    if (!mismatch) return { status: 'passed' };
    const { index, value, reference, bound, failed, total } = mismatch;
    const message = `case '${testCase.name}': output [${index.join(', ')}] is ${value}; expected ${reference} within ${bound} (${failed} of ${total} outputs are wrong)`;
    return { status: 'failed', message, mismatch };
  } finally {
    filter.dispose();
  }
}

/** What the backend's `supports` says about a call. */
export function supportOf(c: OperatorCase, contract: DSConvBackend): Support {
  const { filter, geometry } = makeData({ ...c, data: 'integers' });
  const { activation, leakyreluAlpha, activationBits, outputFormat } = c;
  const spec = specOf(
    c.kernel,
    { filter, geometry, activation, leakyreluAlpha, activationBits, outputFormat },
    { bias: c.bias, residual: c.residual },
  );
  filter.dispose();
  return contract.supports(spec);
}
