import { BackendUnavailableError, getDSConvBackend, runSelfTest, type TierStatus } from '@dsconv/core';
import {
  backend as currentBackend,
  findBackendFactory,
  getKernel,
  removeBackend,
  setBackend,
} from '@tensorflow/tfjs-core';
import { BACKENDS, quietTensorFlow, useBackend } from '../backends.js';
import { tierEngines } from '../bench/engines.js';
import type { BenchLayer } from '../bench/layer.js';
import { gmacs, median, sample, warmUp } from '../bench/measure.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { CUDA, provideCuda } from '../cuda.js';
import { oneLine } from '../errors.js';
import { table } from '../format.js';
import { turn } from '../interruption.js';
import { describeMachine } from '../machine.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { createProgress } from '../progress.js';
import { gpuIsDone, provideWebGPU, WEBGPU } from '../webgpu.js';

interface TierReport {
  name: string;
  /** Null where the backend cannot even be asked for its tiers. */
  tier: string | null;
  available: boolean;
  /** Why it is not available or not right; null when all is well. */
  reason: string | null;
  /** Whether the known answers came out; null when it could not run. */
  selfTest: boolean | null;
  /** Speed of {@link LAYER}, 10^9 multiply-accumulates per second. */
  gmacs: number | null;
}

/** The known layer: a body convolution of ResNet-50, 3×3, 128 to 128 channels at 28×28. */
const LAYER: BenchLayer = {
  name: 'conv 3x3 128→128 at 28x28',
  depthwise: false,
  input: [28, 28, 128],
  filter: [3, 3, 128, 128],
  strides: 1,
  pad: 'same',
  activation: 'relu',
  bits: 4,
  blockSize: 64,
  macs: 28 * 28 * 9 * 128 * 128,
  count: 1,
};
const SAMPLES = 5;
/** A sample on a GPU is so many runs: one alone would be the time of asking. */
const GPU_REPEATS = 4;
/** A run that takes so long (ms) is not done again: a GPU that is none. */
const SLOW = 200;
/** Backends whose packages are not dependencies, and what makes them known. */
const OPTIONAL: Record<string, () => Promise<string | null>> = {
  [CUDA]: provideCuda,
  [WEBGPU]: provideWebGPU,
};
const NOTHING = { selfTest: null, gmacs: null };

export const registerDoctor: RegisterCommand = (program, context) => {
  const command = program
    .command('doctor')
    .description('say which backends and tiers work here, whether they compute right, and how fast they are')
    .action((options: CommonOptions) => doctor(options, context));
  withCommonOptions(command, ['dsconv doctor', 'dsconv doctor --json']);
};

async function doctor(options: CommonOptions, { io }: Context): Promise<void> {
  quietTensorFlow();
  const all = [...new Set([...BACKENDS, ...Object.keys(OPTIONAL)])];
  const names = options.backend === undefined ? all : [options.backend];
  // An unknown name is an error; a backend that cannot run here is what this command is for.
  if (names.some((name) => !all.includes(name))) await useBackend(options, io);
  const jobs: { name: string; status: TierStatus }[] = [];
  const reports: TierReport[] = [];
  const missing = new Map<string, string>();
  for (const name of names) {
    const reason = (await OPTIONAL[name]?.()) ?? null;
    if (reason !== null) {
      missing.set(name, reason);
      continue;
    }
    for (const status of await getDSConvBackend(name)!.tiers()) jobs.push({ name, status });
  }
  const progress = createProgress(io, options.json === true, 'doctor', jobs.length);
  for (const { name, status } of jobs) {
    await turn(io.signal);
    progress.update(reports.length, `${name} ${status.tier}`);
    reports.push(await examine(name, status));
  }
  for (const [name, reason] of missing) {
    reports.push({ ...NOTHING, name, tier: null, available: false, reason });
  }
  progress.finish();
  const machine = describeMachine();
  if (options.json) {
    printJson(io, {
      backends: reports,
      layer: { name: LAYER.name, bits: LAYER.bits, blockSize: LAYER.blockSize },
      machine,
    });
    return;
  }
  io.stdout.write(`Node ${machine.node} on ${machine.platform}, ${machine.cores} × ${machine.cpu}\n\n`);
  const rows = reports.map((report) => [
    report.name,
    report.tier ?? '-',
    report.available ? 'yes' : 'no',
    report.selfTest === null ? '-' : report.selfTest ? 'passed' : 'FAILED',
    report.gmacs === null ? '-' : report.gmacs.toFixed(2),
    report.reason ?? '',
  ]);
  io.stdout.write(table(['backend', 'tier', 'available', 'self-test', 'GMAC/s', 'reason'], rows, [4]));
  io.stdout.write(
    `\nGMAC/s: ${LAYER.name}, ${LAYER.bits} bits, blocks of ${LAYER.blockSize}, one picture.\n`,
  );
}

async function examine(name: string, status: TierStatus): Promise<TierReport> {
  const { tier, available, reason = null } = status;
  const report: TierReport = { ...NOTHING, name, tier, available, reason };
  if (!available) return report;
  try {
    const [engine] = await tierEngines(name, [tier]);
    const pinned = engine!.backend;
    report.selfTest = false;
    if (!(await setBackend(pinned))) await explain(pinned);
    await runSelfTest(pinned, currentBackend(), (kernel) => getKernel(kernel, pinned).kernelFunc);
    report.selfTest = true;
    const layer = engine!.prepare(LAYER);
    const isGpu = Object.hasOwn(OPTIONAL, name);
    const times = isGpu ? await onGpu(layer.run) : onHost(layer.run);
    layer.dispose();
    report.gmacs = gmacs(LAYER.macs, median(times));
    // Every tier has a device of its own, which would keep the process alive.
    if (isGpu) removeBackend(pinned);
  } catch (error) {
    report.available = false;
    report.reason = oneLine(error instanceof Error ? error.message : String(error));
  }
  return report;
}

/** Milliseconds of one run, several times. */
function onHost(run: () => void): number[] {
  const repeats = warmUp(run);
  return Array.from({ length: SAMPLES }, () => sample(run, repeats));
}

async function onGpu(run: () => void): Promise<number[]> {
  const timed = async (repeats: number): Promise<number> => {
    const start = performance.now();
    for (let n = 0; n < repeats; n++) run();
    await gpuIsDone();
    return (performance.now() - start) / repeats;
  };
  // Shaders are compiled, but what the first run takes with it is the upload of the filter.
  const first = await timed(1);
  if (first > SLOW) return [first];
  const times: number[] = [];
  for (let n = 0; n < SAMPLES; n++) times.push(await timed(GPU_REPEATS));
  return times;
}

/** TensorFlow.js keeps the reason to itself when a backend cannot be created; asked directly, the factory tells it. */
async function explain(backendName: string): Promise<never> {
  await findBackendFactory(backendName)();
  throw new BackendUnavailableError(`TensorFlow.js could not create backend '${backendName}'`);
}
