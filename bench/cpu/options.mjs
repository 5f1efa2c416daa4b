/** The command line of `npm run bench:cpu`. */
import { parseArgs } from 'node:util';
import { named, namedByBeginning, needOut, numbers } from '../arguments.mjs';
import { ENGINES } from './engines.mjs';
import { NETWORKS } from './networks.mjs';
import { SECTIONS } from './sections.mjs';

const SECTION_NAMES = ['networks', ...Object.keys(SECTIONS)];

const USAGE = `npm run bench:cpu -- [options]

  --only names      networks, by name or its beginning: ${Object.keys(NETWORKS).join(', ')}
  --batch numbers   pictures at a time (1,8)
  --threads numbers (1,2)
  --engines names   ${Object.keys(ENGINES).join(', ')}
                    (those without an instruction set or wasm-eager; tfjs-cpu, which takes seconds a picture, for ResNet-50 batch 1 only)
  --block numbers   block sizes (64; for ResNet-50 also 128)
  --sections names  ${SECTION_NAMES.join(', ')}
                    (all; with one of the options above, networks)
  --minutes number  of the soak (0.5)
  --seconds number  of the event loop (5)
  --runs number     timed runs per engine and case, time permitting (30)
  --out file        where the JSON goes; needed for a part. All of it goes to docs/benchmarks/cpu.json, with cpu.md and
                    cpu.svg beside it

Lists are separated by commas.`;

export function readOptions(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({
    args,
    options: {
      only: text,
      batch: text,
      threads: text,
      engines: text,
      block: text,
      runs: text,
      sections: text,
      minutes: text,
      seconds: text,
      out: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const networksOnly = ['only', 'batch', 'threads', 'engines', 'block'].find(
    (option) => values[option] !== undefined,
  );
  const part = networksOnly ?? (values.sections === undefined ? undefined : 'sections');
  needOut(part, values.out);
  return {
    networks: values.only
      ? namedByBeginning(values.only, 'only', Object.keys(NETWORKS))
      : Object.keys(NETWORKS),
    batches: numbers(values.batch ?? '1,8', 'batch'),
    threads: numbers(values.threads ?? '1,2', 'threads'),
    engines: values.engines ? named(values.engines, 'engines', Object.keys(ENGINES)) : null,
    blockSizes: values.block ? numbers(values.block, 'block') : null,
    sections: values.sections
      ? named(values.sections, 'sections', SECTION_NAMES)
      : networksOnly
        ? ['networks']
        : SECTION_NAMES,
    minutes: positive(values.minutes ?? '0.5', 'minutes'),
    seconds: positive(values.seconds ?? '5', 'seconds'),
    runs: numbers(values.runs ?? '30', 'runs')[0],
    out: values.out ?? null,
  };
}

function positive(value, option) {
  const number = Number(value);
  if (number > 0 && number < 1e4) return number;
  throw new Error(`--${option} is '${value}'; expected a positive number`);
}
