/** The command line of `npm run bench:webgpu`. */
import { parseArgs } from 'node:util';
import { named, namedByBeginning, needOut, numbers } from '../arguments.mjs';
import { NETWORKS } from '../cpu/networks.mjs';
import { ENGINES } from './engines.mjs';
import { RUNTIMES } from './runtimes.mjs';

/** Of a full run. */
const DEFAULT_NETWORKS = ['resnet50', 'mobilenet_v1_1.0', 'mobilenet_v2_1.0'];
const SECTIONS = ['networks', 'layers'];

const USAGE = `npm run bench:webgpu -- [options]

  --only names      networks, by name or its beginning: ${Object.keys(NETWORKS).join(', ')}
                    (${DEFAULT_NETWORKS.join(', ')})
  --batch numbers   pictures at a time (1)
  --engines names   ${Object.keys(ENGINES).join(', ')} (all)
  --block numbers   block sizes (64)
  --runtimes names  ${Object.keys(RUNTIMES).join(', ')} (both)
  --sections names  ${SECTIONS.join(', ')} (both)
  --runs number     timed runs per engine and case, time permitting (30)
  --out file        where the JSON goes; needed for a part. All of it goes to docs/benchmarks/webgpu.json, with webgpu.md
                    beside it

Lists are separated by commas. A GPU is taken where there is one, SwiftShader, which computes on the CPU, where there is none;
DSCONV_WEBGPU_ADAPTER=hardware or software allows only one of them.`;

export function readOptions(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({
    args,
    options: {
      only: text,
      batch: text,
      engines: text,
      block: text,
      runtimes: text,
      sections: text,
      runs: text,
      out: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const part = ['only', 'engines', 'runtimes', 'sections'].find((option) => values[option] !== undefined);
  needOut(part, values.out);
  const some = (option, known) => (values[option] ? named(values[option], option, known) : known);
  return {
    networks: values.only ? namedByBeginning(values.only, 'only', Object.keys(NETWORKS)) : DEFAULT_NETWORKS,
    batches: numbers(values.batch ?? '1', 'batch'),
    engines: some('engines', Object.keys(ENGINES)),
    blockSizes: numbers(values.block ?? '64', 'block'),
    runtimes: some('runtimes', Object.keys(RUNTIMES)),
    sections: some('sections', SECTIONS),
    runs: numbers(values.runs ?? '30', 'runs')[0],
    out: values.out ?? null,
  };
}
