/** The page docs/benchmarks/README.md from the JSON files beside it. */

const number = (value, digits = 2) => (value === null || value === undefined ? '' : value.toFixed(digits));
const bytes = (value) => (value ? `${(value / 2 ** 20).toFixed(2)} MiB` : '');

/** A Markdown table. */
export function table(header, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function storageSection({ rows }) {
  return `## Storage

Counted from the files \`dsconv quantize\` wrote. First convolution and depthwise at 8 bits per channel, scales float16. The ratio of the kernels is the one
the paper speaks of; the total includes biases, header and labels.

${table(
  [
    'network',
    'bits',
    'B',
    'kernels before',
    'kernels after',
    'file',
    'ratio',
    'total ratio',
    'bits per weight',
  ],
  rows.map((r) => [
    r.network,
    r.bits,
    r.blockSize,
    bytes(r.kernelBytesBefore),
    bytes(r.kernelBytesAfter),
    `${(r.bytesAfter / 1e6).toFixed(2)} MB`,
    `**${number(r.kernelRatio)}**`,
    number(r.totalRatio),
    number(r.bitsPerWeight, 3),
  ]),
)}`;
}

function conversionSection({ rows, pinned, machine }) {
  return `## Conversion

No pictures, ${pinned ? 'held to one core' : 'not held to one core, because there is no taskset'}, the whole command with the start of Node; medians of ${rows[0].runs.length} runs. The core is shared with other work,
so the processor's seconds count, not the clock's. Machine: ${machine.cpu}, ${machine.date}.

${table(
  ['network', 'command', 'before', 'after', "processor's seconds", "clock's", 'promised'],
  rows.map((r) => [
    r.network,
    `\`${r.command}\``,
    bytes(r.bytesBefore),
    bytes(r.bytesAfter),
    `**${number(r.cpuSeconds)}**`,
    number(r.seconds),
    r.limit ? `under ${r.limit}` : '',
  ]),
)}`;
}

function accuracySection({ rows, skipped }) {
  return `## Accuracy

\`dsconv eval\` of what \`dsconv quantize\` makes by itself: means corrected from batch normalizations, no calibration, no retraining; 8-bit activations, B = 64. Agreement is the share of pictures with the float
network's class. The photographs are probably from the training set: compare with the float row, never with a published accuracy.

${table(
  ['network', 'bits', 'pictures', 'top-1', 'top-5', 'agreement', 'pictures/s', 'peak memory'],
  rows.map((r) => [
    r.network,
    r.bits === 32 ? 'float32' : r.bits,
    r.images,
    number(r.top1, 4),
    number(r.top5, 4),
    `**${number(r.agreement, 4)}**`,
    number(r.imagesPerSecond, 1),
    bytes(r.peakMemoryBytes),
  ]),
)}${skipped.length > 0 ? `\n\nNot measured: ${skipped.join('; ')}.` : ''}`;
}

function memorySection({ rows }) {
  return `## Peak memory

Resident memory of a process that loads the network and classifies one picture, the JavaScript engine included.

${table(
  ['network', 'bits', 'tier', 'peak'],
  rows.map((r) => [r.network, r.bits === 32 ? 'float32' : r.bits, r.tier, bytes(r.peakMemoryBytes)]),
)}`;
}

function layersSection({ runs }) {
  const rows = runs.flatMap(({ bits, blockSize, totals, ratios }) =>
    totals.map((t) => [
      t.network,
      t.tier ? `${t.engine}, ${t.tier}` : t.engine,
      t.tier ? `${bits} bits, B = ${blockSize}` : 'float32',
      number(t.ms, 1),
      number(t.gmacs, 1),
      ratioOf(ratios, t),
    ]),
  );
  return `## Layers

\`dsconv bench layers --peer tfjs-wasm\`: every convolution of the network once, one thread, batch 1, float32 tensors in and out (quantizing the input is inside),
bias and activation fused; engines interleaved layer by layer, medians. The ratio is to tfjs-backend-wasm float32 in the same run. First convolution and
depthwise have 8 bits per channel.

${table(['network', 'engine', 'weights', 'ms', 'GMAC/s', 'times faster'], rows)}

Layer by layer at ${runs[0].bits} bits, B = ${runs[0].blockSize} (milliseconds of one call):

${layerTable(runs[0].cases)}`;
}

function ratioOf(ratios, { network, tier }) {
  const found = tier && ratios.find((r) => r.network === network && r.tier === tier);
  return found ? `**${number(found.ratio)}**` : '';
}

/** One row per layer, one column per engine. */
function layerTable(cases) {
  const engineOf = (c) => c.tier ?? c.engine;
  const engines = [...new Set(cases.map(engineOf))];
  const layers = new Map();
  for (const c of cases) {
    const key = `${c.network} ${c.layer}`;
    if (!layers.has(key)) layers.set(key, { ...c, times: {} });
    layers.get(key).times[engineOf(c)] = c.medianMs;
  }
  return table(
    ['network', 'layer', 'times', 'MMAC', ...engines],
    [...layers.values()].map((l) => [
      l.network,
      l.layer,
      l.count,
      number(l.macs / 1e6, 1),
      ...engines.map((engine) => number(l.times[engine], 3)),
    ]),
  );
}

/** @param {Record<string, any>} results by benchmark */
export function markdown(results) {
  const sections = {
    storage: storageSection,
    conversion: conversionSection,
    accuracy: accuracySection,
    memory: memorySection,
    layers: layersSection,
  };
  const machine = Object.values(results)[0]?.machine;
  const where = machine
    ? `${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node ${machine.node}, ${machine.date}`
    : 'nowhere yet';
  const parts = Object.entries(sections).flatMap(([name, render]) =>
    results[name] ? [render(results[name])] : [],
  );
  return `# Measured figures

Written by \`npm run bench\`; the JSON files beside this page hold every number. Machine: ${where}. Its cores are shared with others: trust ratios, not times.

${parts.join('\n\n')}
`;
}
