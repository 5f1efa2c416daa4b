/** The command line of `npm run bench:cuda`. */
import { parseArgs } from 'node:util';
import { named, namedByBeginning, needOut, numbers } from '../arguments.mjs';
import { NETWORKS } from '../cpu/networks.mjs';

const SECTIONS = ['overhead', 'networks', 'layers', 'soak', 'pytorch'];
const DEFAULT_NETWORKS = ['resnet50', 'mobilenet_v1_1.0', 'mobilenet_v2_1.0'];

const USAGE = `npm run bench:cuda -- [options]

  --sections names  ${SECTIONS.join(', ')} (all)
  --only names      networks, by name or its beginning: ${Object.keys(NETWORKS).join(', ')}
                    (${DEFAULT_NETWORKS.join(', ')})
  --batch numbers   pictures at a time (1, 32, 256)
  --bits numbers    weight bits (4, 8)
  --block number    block size (64)
  --runs number     timed runs per case (30)
  --soak number     seconds of mixed load (60; 600 is what the project promises)
  --modes pattern   of bench/cuda/pytorch_resnet50.py
  --emulated        allows the emulation of the tests, which tells nothing about speed
  --out file        where the JSON goes; needed for a part. All of it goes to docs/benchmarks/cuda.json, with cuda.md beside it

Lists are separated by commas.`;

export function readOptions(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({
    args,
    options: {
      sections: text,
      only: text,
      batch: text,
      bits: text,
      block: text,
      runs: text,
      soak: text,
      modes: text,
      emulated: { type: 'boolean' },
      out: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const part = ['sections', 'only', 'batch', 'bits', 'emulated'].find(
    (option) => values[option] !== undefined,
  );
  needOut(part, values.out);
  return {
    sections: values.sections ? named(values.sections, 'sections', SECTIONS) : SECTIONS,
    networks: values.only ? namedByBeginning(values.only, 'only', Object.keys(NETWORKS)) : DEFAULT_NETWORKS,
    batches: numbers(values.batch ?? '1,32,256', 'batch'),
    bits: numbers(values.bits ?? '4,8', 'bits'),
    blockSize: numbers(values.block ?? '64', 'block')[0],
    runs: numbers(values.runs ?? '30', 'runs')[0],
    soakSeconds: numbers(values.soak ?? '60', 'soak')[0],
    modes: values.modes ?? '',
    emulated: values.emulated ?? false,
    out: values.out ?? null,
  };
}
