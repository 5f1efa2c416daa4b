/**
 * `npm run bench:cpu`: whole networks on the CPU, this project beside what a user would take instead. `--help` lists the options.
 *
 *     npm run bench:cpu                                                        all of it, into docs/benchmarks
 *     npm run bench:cpu -- --only resnet50 --batch 1 --threads 1 --out part.json
 *     npm run bench:cpu -- --sections soak --minutes 10 --out soak.json
 */
import { cpuChart } from './cpu/chart.mjs';
import { ENGINES, slotsOf } from './cpu/engines.mjs';
import { referenceLogits } from './cpu/logits.mjs';
import { cpuMachine } from './cpu/machine.mjs';
import { cpuMarkdown } from './cpu/markdown.mjs';
import { lineOf, measureCase } from './cpu/measure.mjs';
import { NETWORKS, NetworkFiles } from './cpu/networks.mjs';
import { readOptions } from './cpu/options.mjs';
import { ensurePeers } from './cpu/peers.mjs';
import { ratiosOf } from './cpu/ratios.mjs';
import { measureSections } from './cpu/sections.mjs';
import { writeResults } from './results.mjs';

async function main() {
  const options = readOptions(process.argv.slice(2));
  const unavailable = await missingPeers(options.engines);
  const files = new NetworkFiles();
  const cases = [];
  let sections;
  try {
    for (const network of options.sections.includes('networks') ? options.networks : []) {
      cases.push(...(await measureNetwork(network, options, files, unavailable)));
    }
    sections = await measureSections(options.sections, { files, options, unavailable });
  } finally {
    files.remove();
  }
  const results = { machine: await cpuMachine(), cases, ratios: ratiosOf(cases), ...sections };
  await writeResults(results, options.out, 'cpu', { md: cpuMarkdown, svg: cpuChart });
}

async function measureNetwork(network, options, files, unavailable) {
  const { batches, threads: counts, runs } = options;
  const blockSizes = options.blockSizes ?? NETWORKS[network].blockSizes;
  console.error(`${NETWORKS[network].title}: random weights, quantizing …`);
  const paths = await files.make(network, blockSizes);
  const reference = await referenceLogits(paths.float);
  const cases = [];
  for (const batch of batches) {
    for (const threads of counts) {
      console.error(`${NETWORKS[network].title}, batch ${batch}, ${threads} thread${threads > 1 ? 's' : ''}`);
      const engines = options.engines ?? defaultEngines(network, batch, threads);
      const slots = slotsOf(engines, blockSizes);
      const shared = { network, batch, threads, runs, slots, files: paths, unavailable, reference };
      const measured = await measureCase(shared);
      for (const entry of measured) console.error(`  ${lineOf(entry)}`);
      cases.push(...measured);
    }
  }
  return cases;
}

function defaultEngines(network, batch, threads) {
  const withSlow = network === 'resnet50' && batch === 1 && threads === 1;
  return Object.keys(ENGINES).filter((engine) => {
    return !ENGINES[engine].special && (withSlow || engine !== 'tfjs-cpu');
  });
}

/** Why engines cannot run that need a package from outside. */
async function missingPeers(engines) {
  const names = (engines ?? Object.keys(ENGINES)).filter((name) => ENGINES[name].peer);
  const reason = names.length > 0 ? await ensurePeers() : null;
  return Object.fromEntries(names.map((name) => [name, reason]));
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
