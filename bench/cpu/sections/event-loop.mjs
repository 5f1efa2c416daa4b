/** Whether the event loop stays free while a plan runs. */
import { table } from '../../markdown.mjs';
import { runProbe } from '../probe.mjs';

export const TITLE = 'Event loop';

const BLOCK_SIZE = 64;

export async function measure({ files, options }) {
  const paths = await files.make('resnet50', [BLOCK_SIZE]);
  const runs = [];
  for (const threads of options.threads) {
    const { seconds } = options;
    runs.push(await runProbe('event-loop', { file: paths.quantized[BLOCK_SIZE], threads, seconds }));
  }
  return { network: 'resnet50', blockSize: BLOCK_SIZE, runs };
}

export function render({ runs }) {
  const row = (threads, what, { ticks, medianMs, p99Ms, maxMs }) => [
    threads,
    what,
    ticks,
    medianMs.toFixed(2),
    p99Ms.toFixed(2),
    maxMs.toFixed(2),
  ];
  const rows = runs.flatMap(({ threads, busy, idle }) => [
    row(threads, 'plan in a loop', busy),
    row(threads, 'nothing', idle),
  ]);
  return `How late a timer of 1 ms comes, in milliseconds, while a plan of ResNet-50 runs in a loop and while nothing does. With as many threads as cores
the event loop shares one of them with a worker.

${table(['threads', 'what runs', 'ticks', 'median', '99 %', 'latest'], rows)}`;
}
