/** docs/benchmarks/zoo.md from the results. */
import { table } from '../markdown.mjs';

const millions = (count, digits = 2) => (count / 1e6).toFixed(digits);
/** The fastest tenth of the runs is what an engine takes while the others on the machine leave it alone. */
const timeOf = ({ p10Ms }) => p10Ms ?? null;
const ms = (engine) => {
  const time = timeOf(engine);
  return time === null ? '–' : time.toFixed(time < 10 ? 2 : 1);
};

export function zooMarkdown({ machine, seconds, rows }) {
  const { cpu, cores, platform, node, date, loadBefore, loadAfter } = machine;
  const notes = rows.flatMap(({ name, engines }) =>
    Object.entries(engines).flatMap(([engine, { note }]) => (note ? [`${name}, ${engine}: ${note}`] : [])),
  );
  return `# Every network of the zoo

Written by \`npm run bench:zoo\` in ${seconds} s; zoo.json holds the numbers. Machine: ${cpu}, ${cores} cores, ${platform}, Node ${node}, ${date}; shared with other
work (load ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after), so trust ratios, not times.

## Latency

Milliseconds for one picture that the fastest tenth of the runs stay below (medians are in zoo.json), engines in turns in one process per network. DSConv: 4-bit weights in blocks of 64, 8-bit activations, compiled to a plan; random weights.
tfjs-wasm: tfjs-backend-wasm with the same numbers as float32, one thread (it has no more in Node). Times faster: one thread against one thread; the last column all ${cores} threads
of this machine against tfjs-wasm's one.

${table(
  [
    'network',
    'input',
    'MMAC',
    `native, ${cores} threads`,
    'native, 1 thread',
    'wasm',
    'tfjs-wasm float32',
    'native, 1 thread: times faster',
    'wasm: times faster',
    `native, ${cores} threads: times faster`,
  ],
  rows.map(({ name, macs, input, engines }) => {
    const peer = engines['tfjs-wasm float32'];
    const ratio = (engine) =>
      timeOf(peer) === null || timeOf(engine) === null
        ? '–'
        : `**${(timeOf(peer) / timeOf(engine)).toFixed(1)}**`;
    const [all, one, wasm] = ['native plan', 'native plan, 1 thread', 'wasm plan'].map((key) => engines[key]);
    return [
      name,
      `${input.inputSize}×${input.inputSize}×${input.channels}`,
      millions(macs, 0),
      ms(all),
      ms(one),
      ms(wasm),
      ms(peer),
      ratio(one),
      ratio(wasm),
      ratio(all),
    ];
  }),
)}
${notes.length > 0 ? `\nNot measured: ${notes.join('; ')}.\n` : ''}
## Size

MB of kernels, scales and biases, as \`dsconv quantize\` stores them with its defaults: first convolution and depthwise at 8 bits per channel, scales float16, blocks of 64. A file adds
header and labels, some 10 kB.

${table(
  ['network', 'parameters (millions)', 'float32', '8 bits', '4 bits', '2 bits', 'bits per weight at 4'],
  rows.map(({ name, parameters, stored }) => [
    name,
    millions(parameters),
    ...stored.map(({ bytes }) => millions(bytes)),
    stored.find(({ bits }) => bits === 4).bitsPerWeight.toFixed(3),
  ]),
)}
`;
}
