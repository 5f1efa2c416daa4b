/** What a loaded ResNet-50 with 4-bit weights keeps resident. */
import { runProbe } from '../probe.mjs';

export const TITLE = 'Memory';

const BLOCK_SIZE = 64;
/** The young generation grows to 16 MiB and more whatever a process does; with this flag it stays out of the figures. */
const FLAGS = ['--max-semi-space-size=1'];

export async function measure({ files }) {
  const paths = await files.make('resnet50', [BLOCK_SIZE]);
  const found = await runProbe('memory', { file: paths.quantized[BLOCK_SIZE] }, FLAGS);
  const { fileBytes, arenaBytes, liveBytes, growthBytes, planOnlyGrowthBytes } = found;
  return {
    network: 'resnet50',
    blockSize: BLOCK_SIZE,
    ...found,
    // Of 1.25 times the file and the arena.
    shareOfAllowance: round(growthBytes / (1.25 * fileBytes + arenaBytes)),
    planOnlyShareOfAllowance: round(planOnlyGrowthBytes / (1.25 * fileBytes + arenaBytes)),
    arenaOfLive: round(arenaBytes / liveBytes),
  };
}

export function render(m) {
  return `ResNet-50, 4 bits, B = ${m.blockSize}, native plan, one thread, in a fresh process with \`${FLAGS.join(' ')}\`. The file has ${mebibytes(m.fileBytes)}; the arena of all activations ${mebibytes(m.arenaBytes)},
${m.arenaOfLive.toFixed(2)} times the largest set of activations that live at once (${mebibytes(m.liveBytes)}). Resident memory grew by ${mebibytes(m.growthBytes)} with the network and its plan,
${m.shareOfAllowance.toFixed(2)} of 1.25 times the file plus the arena, and by ${mebibytes(m.planOnlyGrowthBytes)} once the network was disposed of, which a plan does not need (${m.planOnlyShareOfAllowance.toFixed(2)}).`;
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const round = (ratio) => Number(ratio.toFixed(3));
