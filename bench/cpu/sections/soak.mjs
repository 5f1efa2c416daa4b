/** Whether memory stays flat: plans, eager runs, plans that come and go. */
import { runProbe } from '../probe.mjs';

export const TITLE = 'Soak';

const BLOCK_SIZE = 64;
/** What resident memory may vary by (bytes): the JavaScript engine's young generation alone is 16 MiB. */
const TOLERANCE = 32 * 2 ** 20;

export async function measure({ files, options }) {
  const paths = await files.make('resnet18', [BLOCK_SIZE]);
  const parameters = { threads: Math.max(...options.threads), minutes: options.minutes };
  const found = await runProbe('soak', { file: paths.quantized[BLOCK_SIZE], ...parameters });
  const half = found.growthBytes.slice(found.growthBytes.length / 2);
  const drift = Math.max(...half) - Math.min(...half);
  return {
    network: 'resnet18',
    blockSize: BLOCK_SIZE,
    ...found,
    driftBytes: drift,
    flat: drift <= TOLERANCE,
  };
}

export function render(s) {
  const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `ResNet-18 for ${s.minutes} minutes on ${s.threads} threads: ${s.turns} turns of two runs of a plan at once, an eager run, and another plan compiled, run and disposed of.
Resident memory after garbage collection varied by ${mebibytes(s.driftBytes)} in the second half and ended ${mebibytes(s.lastGrowthBytes)} from where it began:
${s.flat ? 'flat' : 'NOT flat'} by a tolerance of ${mebibytes(TOLERANCE)}.`;
}
