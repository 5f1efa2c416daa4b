/** docs/benchmarks/cuda.md from the results. */
import { NETWORKS } from '../cpu/networks.mjs';
import { table } from '../markdown.mjs';
import { peaksLine } from './peaks-line.mjs';

const ms = (value) => (value === undefined ? '' : value.toFixed(3));
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

export function cudaMarkdown({ machine, overhead, networks, layers, soak, pytorch }) {
  const { device, node, date, platform } = machine;
  const name = device.emulated
    ? `${device.name}: **an emulation, no GPU: nothing here is a speed**`
    : device.name;
  const parts = [
    `# On an NVIDIA GPU

Written by \`npm run bench:cuda\`; cuda.json holds every number. Device: ${name}, compute capability ${device.computeCapability.join('.')}, ${device.multiprocessors} multiprocessors, ${mebibytes(device.totalMemory)} MiB.
Host: ${platform}, Node ${node}, ${date}.`,
    networks && networksSection(networks, pytorch),
    layers && layersSection(layers),
    overhead && overheadSection(overhead),
    soak && soakSection(soak),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function networksSection(rows, pytorch) {
  const ours = rows.map((row) => [
    NETWORKS[row.network].title,
    `${row.bits} bits, B = ${row.blockSize}`,
    row.batch,
    row.error ?? ms(row.ms.device.median),
    row.error ? '' : ((1000 * row.batch) / row.ms.device.median).toFixed(0),
    ms(row.ms?.copied.median),
    ms(row.ms?.pipelined),
    row.error ? '' : `${mebibytes(row.weightBytes)} of ${mebibytes(row.fileBytes)}`,
  ]);
  return `## Networks

Random weights, 224×224, plans. Milliseconds of a run, medians: with pictures and logits on the device, copied in and out as a program that serves pictures does, and the same with the next run
under way before one ends. Memory: MiB of weights on the device beside those of the file.

${table(['network', 'weights', 'batch', 'on the device', 'pictures/s', 'copied', 'pipelined', 'MiB'], ours)}

${pytorchSection(pytorch, rows)}`;
}

function pytorchSection(pytorch, rows) {
  if (!pytorch) return 'PyTorch was not measured.';
  if (pytorch.missing) return `PyTorch was not measured: ${pytorch.missing}.`;
  const own = (batch) =>
    rows.find((r) => r.network === 'resnet50' && r.bits === 4 && r.batch === batch && !r.error);
  const line = ({ mode, batch, ms: times, error }) => {
    if (error) return [mode, batch, error, '', '', ''];
    const ratio = (kind) => {
      const mine = own(batch);
      return mine ? `**${(times[kind].median / mine.ms[kind].median).toFixed(2)}×**` : '';
    };
    return [mode, batch, ms(times.device.median), ms(times.copied.median), ratio('device'), ratio('copied')];
  };
  return `ResNet-50 in PyTorch ${pytorch.torch} (CUDA ${pytorch.cuda}, cuDNN ${pytorch.cudnn}) on ${pytorch.device}, and how many times faster ours is at 4 bits:

${table(['mode', 'batch', 'on the device', 'copied', 'faster on the device', 'faster copied'], pytorch.results.map(line))}`;
}

function layersSection({ batch, bits, blockSize, peaks, steps }) {
  const counted = steps.filter(({ counts }) => counts);
  const worst = counted.length > 0 ? Math.min(...counted.map(({ share }) => share)) : null;
  return `## Steps of ResNet-50

Batch ${batch}, ${bits} bits, B = ${blockSize}. Measured peaks: ${peaksLine(peaks)}.${worst === null ? '' : ` Layers with at least 128 channels in and out reach at least ${(100 * worst).toFixed(0)} % of \`mma.sync\`.`}

${table(
  ['step', 'GMAC', 'µs', '% of mma.sync', ...(peaks.wgmmaProducts ? ['% of wgmma'] : [])],
  steps.map(({ what, macs, microseconds, share, wgmmaShare }) => [
    what,
    macs ? (macs / 1e9).toFixed(2) : '',
    microseconds.toFixed(1),
    share ? (100 * share).toFixed(0) : '',
    ...(peaks.wgmmaProducts ? [wgmmaShare ? (100 * wgmmaShare).toFixed(0) : ''] : []),
  ]),
)}`;
}

function overheadSection({ callMicroseconds, latencyMicroseconds, pipelinedMicroseconds }) {
  return `## A run without work

The call takes ${callMicroseconds.median.toFixed(1)} µs, its promise ${latencyMicroseconds.median.toFixed(1)} µs; one after the other without waiting, ${pipelinedMicroseconds.toFixed(1)} µs each.`;
}

function soakSection({ seconds, rounds, outOfMemory, before, after }) {
  return `## Mixed load

${seconds} s: ${rounds} rounds of plans and eager runs, all with the same results; memory ran out ${outOfMemory} times and was given back. In use before and after: ${before.inUse} and ${after.inUse} bytes; the process had ${mebibytes(before.rss)} and ${mebibytes(after.rss)} MiB.`;
}
