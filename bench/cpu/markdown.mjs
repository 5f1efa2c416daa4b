/** docs/benchmarks/cpu.md from the results. */
import { engineTable, unique } from '../engine-table.mjs';
import { table } from '../markdown.mjs';
import { ENGINES } from './engines.mjs';
import { NETWORKS } from './networks.mjs';
import { renderSections } from './sections.mjs';

export function cpuMarkdown({ machine, cases, ratios, ...sections }) {
  return `# Whole networks on the CPU

Written by \`npm run bench:cpu\`; cpu.json holds every number. ${describeMachine(machine)}

Networks of the zoo with random weights, 224×224 pixels. Ours: 4-bit weights in blocks of B along the input channels (first convolution and depthwise 8 bits per
channel), 8-bit activations. onnxruntime-node runs ONNX models of the very operations that the float network performs: float32, and int8 with a scale per
output channel, as a graph of QLinear operators and as a QDQ graph, of which the faster counts. Every engine has a process of its own, only one computes
at a time, and they take turns of about 200 ms; medians over three passes with fresh processes. The cores are shared with others: trust ratios, not times.
[What limits these figures, and what was tried](cpu-limits.md).

![Milliseconds per picture](cpu.svg)

## Ratios

Shares of onnxruntime's time: below 1, this project is faster. Plans only; cpu.json has the ratios of eager runs too.

${ratioTable(ratios)}

## Times

Median milliseconds of one run, which is one batch.

${timeTables(cases)}

## Agreement

Cosine between an engine's logits and the float network's for the same picture. float32 engines differ by less than a thousandth of the largest
logit, or the benchmark refuses them. Random weights lose more to rounding than trained ones.

${agreementTable(cases)}
${notes(cases)}
${renderSections(sections)}
`;
}

function describeMachine({ cpu, cores, platform, node, date, instructions, native, peaks }) {
  const parts = [`Machine: ${cpu}, ${cores} cores, ${platform}, Node ${node}, ${date}.`];
  if (instructions) parts.push(`Instructions: ${instructions.join(', ')}.`);
  parts.push(`Native tier: ${native}.`);
  if (peaks) {
    const { isa, int8Dot, floatFma } = peaks;
    parts.push(
      `Measured peaks of one core with ${isa}: ${int8Dot.toFixed(0)} GMAC/s int8, ${floatFma.toFixed(0)} GMAC/s float32.`,
    );
  }
  return parts.join(' ');
}

const weights = ({ bits, blockSize }) =>
  blockSize ? `${bits} bits, B = ${blockSize}` : bits === 32 ? 'float32' : `${bits} bits`;

const WORDS = { order: Object.keys(ENGINES), networks: NETWORKS, weights };

function ratioTable(ratios) {
  const plans = ratios.filter(({ engine }) => engine !== 'dsconv-native-eager');
  const share = (value) => (value === null ? '' : `**${value.toFixed(2)}**`);
  const times = (value) => (value === null ? '' : `${value.toFixed(value < 10 ? 2 : 1)}×`);
  return table(
    [
      'network',
      'batch',
      'threads',
      'engine',
      'weights',
      'of onnxruntime int8',
      'of onnxruntime float32',
      'faster than tfjs-wasm',
      'faster than tfjs-cpu',
      'faster than one thread',
    ],
    plans.map((r) => [
      NETWORKS[r.network].title,
      r.batch,
      r.threads,
      r.engine,
      weights(r),
      share(r.shareOfOrtInt8),
      share(r.shareOfOrtFloat32),
      times(r.timesFasterThanTfjsWasm),
      times(r.timesFasterThanTfjsCpu),
      times(r.timesFasterThanOneThread),
    ]),
  );
}

/** One table per batch and number of threads: engines down, networks across. */
function timeTables(cases) {
  const settings = unique(cases.map(({ batch, threads }) => `${batch} ${threads}`));
  return settings
    .map((setting) => {
      const [batch, threads] = setting.split(' ').map(Number);
      const shown = cases.filter((c) => c.batch === batch && c.threads === threads && c.medianMs !== null);
      const cell = ({ medianMs }) => medianMs.toFixed(medianMs < 10 ? 2 : 1);
      const heading = `Batch ${batch}, ${threads} thread${threads > 1 ? 's' : ''}:`;
      return `${heading}\n\n${engineTable(shown, WORDS, cell)}`;
    })
    .join('\n\n');
}

function agreementTable(cases) {
  const shown = cases.filter(
    ({ batch, threads, agreement }) => agreement && batch === cases[0].batch && threads === cases[0].threads,
  );
  return engineTable(shown, WORDS, ({ agreement }) => agreement.cosine.toFixed(4));
}

/** Why engines are missing, once per reason. */
function notes(cases) {
  const missing = cases.filter(({ medianMs }) => medianMs === null);
  if (missing.length === 0) return '';
  const lines = unique(
    missing.map(
      ({ engine, threads, note }) => `- ${engine}, ${threads} thread${threads > 1 ? 's' : ''}: ${note}`,
    ),
  );
  return `\n## Not measured\n\n${lines.join('\n')}\n`;
}
