import { BackendUnavailableError, getDSConvBackend, runSelfTest, type TierStatus } from '@dsconv/core';
import { backend as currentBackend, findBackendFactory, getKernel, setBackend } from '@tensorflow/tfjs-core';
import { BACKENDS, quietTensorFlow, useBackend } from '../backends.js';
import { tierEngines } from '../bench/engines.js';
import type { BenchLayer } from '../bench/layer.js';
import { gmacs, median, sample, warmUp } from '../bench/measure.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { oneLine } from '../errors.js';
import { table } from '../format.js';
import { turn } from '../interruption.js';
import { describeMachine } from '../machine.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { createProgress } from '../progress.js';

interface TierReport {
  name: string;
  tier: string;
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

export const registerDoctor: RegisterCommand = (program, context) => {
  const command = program
    .command('doctor')
    .description('say which backends and tiers work here, whether they compute right, and how fast they are')
    .action((options: CommonOptions) => doctor(options, context));
  withCommonOptions(command, ['dsconv doctor', 'dsconv doctor --json']);
};

async function doctor(options: CommonOptions, { io }: Context): Promise<void> {
  quietTensorFlow();
  const names = options.backend === undefined ? BACKENDS : [options.backend];
  // An unknown name is an error; a backend that cannot run here is what this command is for.
  if (options.backend !== undefined && !BACKENDS.includes(options.backend)) await useBackend(options, io);
  const jobs: { name: string; status: TierStatus }[] = [];
  for (const name of names) {
    for (const status of await getDSConvBackend(name)!.tiers()) jobs.push({ name, status });
  }
  const progress = createProgress(io, options.json === true, 'doctor', jobs.length);
  const reports: TierReport[] = [];
  for (const { name, status } of jobs) {
    await turn(io.signal);
    progress.update(reports.length, `${name} ${status.tier}`);
    reports.push(await examine(name, status));
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
    report.tier,
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
  const report: TierReport = { name, tier, available, reason, selfTest: null, gmacs: null };
  if (!available) return report;
  try {
    const [engine] = await tierEngines(name, [tier]);
    const pinned = engine!.backend;
    report.selfTest = false;
    if (!(await setBackend(pinned))) await explain(pinned);
    await runSelfTest(pinned, currentBackend(), (kernel) => getKernel(kernel, pinned).kernelFunc);
    report.selfTest = true;
    const layer = engine!.prepare(LAYER);
    const repeats = warmUp(layer.run);
    const times = Array.from({ length: SAMPLES }, () => sample(layer.run, repeats));
    layer.dispose();
    report.gmacs = gmacs(LAYER.macs, median(times));
  } catch (error) {
    report.available = false;
    report.reason = oneLine(error instanceof Error ? error.message : String(error));
  }
  return report;
}

/** TensorFlow.js keeps the reason to itself when a backend cannot be created; asked directly, the factory tells it. */
async function explain(backendName: string): Promise<never> {
  await findBackendFactory(backendName)();
  throw new BackendUnavailableError(`TensorFlow.js could not create backend '${backendName}'`);
}
