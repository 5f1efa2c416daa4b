/** docs/benchmarks/webgpu.md from the results. */
import { NETWORKS } from '../cpu/networks.mjs';
import { engineTable, unique } from '../engine-table.mjs';
import { table } from '../markdown.mjs';
import { ENGINES } from './engines.mjs';
import { LAYER_NETWORKS } from './layers.mjs';
import { RUNTIMES } from './runtimes.mjs';

export function webgpuMarkdown({ machine, cases, ratios, layers }) {
  const { cpu, cores, platform, node, date, adapters } = machine;
  return `# The GPU, and what stands in for one

Written by \`npm run bench:webgpu\`; webgpu.json holds every number. Machine: ${cpu}, ${cores} cores, ${platform}, Node ${node}, ${date}.

${Object.entries(adapters).map(describeAdapter).join('\n')}

Networks of the zoo with random weights, 224×224 pixels. Ours: 4-bit weights in blocks of B along the input channels (first convolution and depthwise 8 bits per
channel), 8-bit activations. onnxruntime-web's WebGPU provider runs ONNX models of the very operations that the float network performs. A run begins with a picture
in the CPU's memory and ends with the logits there; compiling shaders is over before. Every engine has a process of its own, with its own device; only one
computes at a time, and they take turns. The cores are shared with others: trust ratios, not times.

## Ratios

How many times faster ours are; below 1 they are slower. In brackets how many times less they used the processors, where the adapter computes on them and the runtime
can tell: that holds on a busy machine too.

${ratioTable(ratios)}

## Times

Median milliseconds of one run, which is one batch; in brackets what it used of all processors, as above.

${timeTables(cases)}

## Agreement

Cosine between an engine's logits and the float network's for the same picture, which tfjs-backend-wasm computed. float32 engines differ by less than a
thousandth of the largest logit, or the benchmark refuses them.

${agreementTable(cases)}
${layersSection(layers)}${notesOf(cases, layers)}`;
}

function describeAdapter([runtime, { missing, vendor, architecture, description, software, features }]) {
  if (missing) return `- ${RUNTIMES[runtime]}: no WebGPU, ${missing}.`;
  const name = [vendor, architecture, description].filter(Boolean).join(', ');
  const note = software
    ? ' **It is a software adapter, which computes on the CPU:** nothing here says how fast a GPU is.'
    : '';
  return `- ${RUNTIMES[runtime]}: ${name}${features.length > 0 ? ` (${features.join(', ')})` : ''}.${note}`;
}

const weights = ({ bits, blockSize }) => (blockSize ? `${bits} bits, B = ${blockSize}` : `float${bits}`);
const times = (value) => (value === null ? '' : `${value.toFixed(2)}×`);
const WORDS = { order: Object.keys(ENGINES), networks: NETWORKS, weights };

function ratioTable(ratios) {
  return table(
    [
      'network',
      'batch',
      'in',
      'engine',
      'weights',
      'than tfjs-webgpu',
      'than ort-webgpu',
      'than its float16',
    ],
    ratios.map((r) => [
      NETWORKS[r.network].title,
      r.batch,
      RUNTIMES[r.runtime],
      r.engine,
      weights(r),
      ...['ThanTfjs', 'ThanOrt', 'ThanOrtFloat16'].map((than) => ratioCell(r, than)),
    ]),
  );
}

function ratioCell(ratio, than) {
  const clock = ratio[`timesFaster${than}`];
  const processor = ratio[`timesLessProcessor${than}`];
  if (clock === null) return '';
  return `**${times(clock)}**${processor === null ? '' : ` (${times(processor)})`}`;
}

/** One table per runtime and batch: engines down, networks across. */
function timeTables(cases) {
  const shown = cases.filter(({ medianMs }) => medianMs !== null);
  return unique(shown.map(({ runtime, batch }) => `${runtime} ${batch}`))
    .map((setting) => {
      const [runtime, batch] = setting.split(' ');
      const here = shown.filter((c) => c.runtime === runtime && c.batch === Number(batch));
      const cell = ({ medianMs, processorMs }) =>
        `${milliseconds(medianMs)}${processorMs ? ` (${milliseconds(processorMs)})` : ''}`;
      return `${RUNTIMES[runtime]}, batch ${batch}:\n\n${engineTable(here, WORDS, cell)}`;
    })
    .join('\n\n');
}

function agreementTable(cases) {
  const [first] = cases.filter(({ agreement }) => agreement);
  if (!first) return 'Nothing was measured.';
  const shown = cases.filter((c) => c.agreement && c.runtime === first.runtime && c.batch === first.batch);
  return engineTable(shown, WORDS, ({ agreement }) => agreement.cosine.toFixed(4));
}

const milliseconds = (ms) => ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0);

function layersSection(runs) {
  if (!runs) return '';
  return `
## Layers

Every convolution of the network once, with bias and ReLU; float32 tensors in and out, which stay in the device's memory. Ours quantizes its input inside the call. Milliseconds of
one call: the median of turns that engines take on each layer.

${runs.map(layerTables).join('\n\n')}
`;
}

function layerTables({ runtime, network, layers, totals }) {
  const engines = Object.keys(totals);
  const cell = (value) => (value === null ? '' : milliseconds(value));
  const rows = layers.map(({ layer, count, macs, bits, ms }) => [
    ...[layer, count, (macs / 1e6).toFixed(1), bits],
    ...engines.map((engine) => cell(ms[engine])),
  ]);
  rows.push(['all of them', '', '', '', ...engines.map((engine) => cell(totals[engine]))]);
  return `${LAYER_NETWORKS[network]}, ${RUNTIMES[runtime]}:

${table(['layer', 'times', 'MMAC', 'bits', ...engines], rows)}`;
}

/** Why engines are missing, once per reason. */
function notesOf(cases, layers = []) {
  const lines = [
    ...cases
      .filter(({ medianMs }) => medianMs === null)
      .map(({ runtime, engine, note }) => `- ${RUNTIMES[runtime]}, ${engine}: ${note}`),
    ...layers.flatMap(({ runtime, notes }) =>
      Object.entries(notes).map(([engine, note]) => `- ${RUNTIMES[runtime]}, layers of ${engine}: ${note}`),
    ),
  ];
  return lines.length > 0 ? `\n## Not measured\n\n${unique(lines).join('\n')}\n` : '';
}
