/** Layer by layer against the peak of one core, and against onnxruntime's layers. */
import { table } from '../../markdown.mjs';
import { breakdown, breakdownRows } from '../breakdown.mjs';
import { NETWORKS } from '../networks.mjs';
import { runProbe } from '../probe.mjs';

export const TITLE = 'Layers';

const MEASURED = ['resnet50', 'mobilenet_v1_1.0', 'mobilenet_v2_1.0'];
/** Layers that count for the mean share of the peak have at least this many input channels. */
const LEAST_CHANNELS = 64;

export async function measure({ files, options, unavailable }) {
  const networks = [];
  for (const network of MEASURED) {
    const { blockSizes } = NETWORKS[network];
    const paths = await files.make(network, blockSizes);
    const peer = await onnxruntimeTimes(paths.float, options.runs, unavailable['ort-int8']);
    for (const blockSize of blockSizes) {
      const file = paths.quantized[blockSize];
      const { peaks, steps } = await runProbe('profile', { file, runs: options.runs });
      const summary = summarize(steps, peaks, peer.times);
      const parts = breakdown({ ...summary, peaks, blockSize });
      networks.push({ network, blockSize, peaks, ...summary, breakdown: parts, ortNote: peer.note });
    }
  }
  return { networks };
}

/** Microseconds of onnxruntime's convolutions by geometry; none where it is not there or cannot be profiled. */
async function onnxruntimeTimes(file, runs, reason) {
  if (reason) return { times: {}, note: reason };
  try {
    return { times: await runProbe('ort-profile', { file, runs }), note: null };
  } catch (error) {
    return { times: {}, note: error.message };
  }
}

function summarize(steps, { int8Dot }, peer) {
  const layers = new Map();
  for (const { op, geometry, depthwise, macs, microseconds } of steps) {
    if (op !== 'convolution') continue;
    const key = layerKey(geometry, depthwise);
    if (!layers.has(key))
      layers.set(key, { layer: key, geometry, depthwise, macs, count: 0, microseconds: 0 });
    const layer = layers.get(key);
    layer.count++;
    layer.microseconds += microseconds;
  }
  const rows = [...layers.values()].map(({ microseconds: sum, ...layer }) => {
    const microseconds = sum / layer.count;
    const gmacs = layer.macs / microseconds / 1000;
    const figures = {
      microseconds: round(microseconds),
      gmacs: round(gmacs),
      shareOfPeak: round(gmacs / int8Dot),
    };
    return { ...layer, ...figures, ortMicroseconds: peer[layer.layer] ?? null };
  });
  const counted = rows.filter(
    ({ geometry, depthwise }) => !depthwise && geometry.inChannels / geometry.groups >= LEAST_CHANNELS,
  );
  const number = counted.reduce((sum, { count }) => sum + count, 0);
  const mean = counted.reduce((sum, { count, shareOfPeak }) => sum + count * shareOfPeak, 0) / number;
  const macs = counted.reduce((sum, layer) => sum + layer.count * layer.macs, 0);
  const time = counted.reduce((sum, layer) => sum + layer.count * layer.microseconds, 0);
  const total = (wanted) =>
    round(steps.filter(wanted).reduce((sum, { microseconds }) => sum + microseconds, 0));
  return {
    layers: rows,
    meanShareOfPeak: round(mean),
    shareOfPeakByMacs: round(macs / time / 1000 / int8Dot),
    microsecondsByStep: Object.fromEntries(
      [...new Set(steps.map(({ op }) => op))].map((op) => [op, total((s) => s.op === op)]),
    ),
    totalMicroseconds: total(() => true),
    macs: steps.reduce((sum, step) => sum + step.macs, 0),
  };
}

/** What makes two layers the same work. */
export function layerKey(g, depthwise) {
  const kernel = `${g.kernelHeight}×${g.kernelWidth}${g.strideHeight > 1 ? ` / ${g.strideHeight}` : ''}`;
  return `${kernel}${depthwise ? ' depthwise' : ''}, ${g.inHeight}×${g.inWidth}, ${g.inChannels} → ${g.outChannels}`;
}

export function render({ networks }) {
  return `Times of the convolutions inside a plan on one thread, one picture, weights of 4 bits (first and depthwise layers 8): medians of the plan's own clock. The quantization of
what a layer reads happened in the layer before, whose time it is part of. The peak is measured between the runs on registers alone, so that both see the same clock. onnxruntime's
times are those of its profiler for the int8 graph's QLinearConv, which is the work of a layer without its addition. Below each table the plan's time is taken apart: products and the scaling of block sums as they would be at
the peaks, what has its own kernels as measured, and the rest divided by the output values.

${networks.map(renderNetwork).join('\n\n')}`;
}

function renderNetwork({
  network,
  blockSize,
  peaks,
  layers,
  meanShareOfPeak,
  shareOfPeakByMacs,
  microsecondsByStep,
  ...rest
}) {
  const steps = Object.entries(microsecondsByStep).map(([op, time]) => `${op} ${(time / 1000).toFixed(2)}`);
  const rows = layers.map(({ layer, count, microseconds, gmacs, shareOfPeak, ortMicroseconds }) => [
    layer,
    count,
    microseconds.toFixed(0),
    gmacs.toFixed(0),
    `${(100 * shareOfPeak).toFixed(0)} %`,
    ortMicroseconds === null ? '' : ortMicroseconds.toFixed(0),
  ]);
  const header = ['layer', 'times', 'µs', 'GMAC/s', 'of the int8 peak', 'onnxruntime int8, µs'];
  return `### ${NETWORKS[network].title}, B = ${blockSize}

Peaks of one core (${peaks.isa}): int8 ${peaks.int8Dot.toFixed(0)} GMAC/s, float32 ${peaks.floatFma.toFixed(0)} GMAC/s. The network's ${(rest.macs / 1e9).toFixed(2)} GMAC take
${(rest.macs / peaks.int8Dot / 1e6).toFixed(2)} ms at the int8 peak and ${(rest.macs / peaks.floatFma / 1e6).toFixed(1)} ms at the float32 peak; the plan's steps took ${(rest.totalMicroseconds / 1000).toFixed(2)} ms (${steps.join(', ')}). Layers with at
least ${LEAST_CHANNELS} input channels reach **${(100 * meanShareOfPeak).toFixed(0)} %** of the int8 peak on average, ${(100 * shareOfPeakByMacs).toFixed(0)} % weighted by their work.${rest.ortNote ? ` onnxruntime's layers were not measured: ${rest.ortNote}.` : ''}

${table(header, rows)}

Where the time goes:

${table(['part', 'µs', 'share'], breakdownRows(rest.breakdown))}`;
}

const round = (value) => Number(value.toPrecision(5));
