/** docs/benchmarks/zoo.md from the results. */
import { table } from '../markdown.mjs';

const millions = (count, digits = 2) => (count / 1e6).toFixed(digits);
const digits = (time) => (time === null || time === undefined ? '–' : time.toFixed(time < 10 ? 2 : 1));

export function zooMarkdown({ machine, seconds, rows }) {
  const { cpu, cores, platform, node, date, loadBefore, loadAfter } = machine;
  const notes = rows.flatMap(({ name, engines }) =>
    Object.entries(engines).flatMap(([engine, { note }]) => (note ? [`${name}, ${engine}: ${note}`] : [])),
  );
  return `# Every network of the zoo

Written by \`npm run bench:zoo\` in ${seconds} s; zoo.json holds the numbers. Machine: ${cpu}, ${cores} cores, ${platform}, Node ${node}, ${date}; shared with other
work (load ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after), so trust ratios, not times.

## Latency

Milliseconds for one picture, engines in turns in one process per network. DSConv: 4-bit weights in blocks of 64, 8-bit activations, compiled to a plan; random weights. tfjs-wasm:
tfjs-backend-wasm with the same numbers as float32; it has one thread in Node. One thread: the processor's time, median of the turns, which does not count what others on the machine
take. All ${cores} threads: time on the clock that the fastest tenth of the runs stay below. zoo.json has the medians of the clock too.

${table(
  [
    'network',
    'input',
    'MMAC',
    'native, 1 thread',
    'wasm',
    'tfjs-wasm float32',
    'native: times faster',
    'wasm: times faster',
    `native, ${cores} threads (clock)`,
  ],
  rows.map(({ name, macs, input, engines }) => {
    const [all, one, wasm] = ['native plan', 'native plan, 1 thread', 'wasm plan'].map((key) => engines[key]);
    const peer = engines['tfjs-wasm float32'];
    const ratio = (engine) => {
      const isMeasured = peer.medianCpuMs && engine.medianCpuMs;
      return isMeasured ? `**${(peer.medianCpuMs / engine.medianCpuMs).toFixed(1)}**` : '–';
    };
    return [
      name,
      `${input.inputSize}×${input.inputSize}×${input.channels}`,
      millions(macs, 0),
      ...[one, wasm, peer].map((engine) => digits(engine.medianCpuMs)),
      ratio(one),
      ratio(wasm),
      digits(all.p10Ms),
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
