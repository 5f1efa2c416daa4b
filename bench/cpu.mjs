/**
 * `npm run bench:cpu`: whole networks on the CPU, this project beside what a user would take instead. `--help` lists the options.
 *
 *     npm run bench:cpu                                                        all of it, into docs/benchmarks
 *     npm run bench:cpu -- --only resnet50 --batch 1 --threads 1 --out part.json
 *     npm run bench:cpu -- --sections soak --minutes 10 --out soak.json
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpuChart } from './cpu/chart.mjs';
import { ENGINES, slotsOf } from './cpu/engines.mjs';
import { referenceLogits } from './cpu/logits.mjs';
import { cpuMachine } from './cpu/machine.mjs';
import { cpuMarkdown } from './cpu/markdown.mjs';
import { measureCase } from './cpu/measure.mjs';
import { NETWORKS, NetworkFiles } from './cpu/networks.mjs';
import { readOptions } from './cpu/options.mjs';
import { ensurePeers } from './cpu/peers.mjs';
import { ratiosOf } from './cpu/ratios.mjs';
import { measureSections } from './cpu/sections.mjs';

const OUT = new URL('../docs/benchmarks/', import.meta.url);

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
  await write({ machine: await cpuMachine(), cases, ratios: ratiosOf(cases), ...sections }, options.out);
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
      for (const entry of measured) console.error(`  ${line(entry)}`);
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

function line({ engine, blockSize, medianMs, p10Ms, p90Ms, runs, note }) {
  const name = blockSize ? `${engine} B=${blockSize}` : engine;
  if (medianMs === null) return `${name.padEnd(26)} not measured: ${note}`;
  const spread = `${p10Ms.toFixed(1)} to ${p90Ms.toFixed(1)}, ${runs} runs`;
  return `${name.padEnd(26)} ${medianMs.toFixed(2).padStart(9)} ms  (${spread})${note ? `  ${note}` : ''}`;
}

async function write(results, out) {
  const json = `${JSON.stringify(results, null, 1)}\n`;
  if (out) {
    await writeFile(out, json);
    console.error(`wrote ${out}`);
    return;
  }
  await mkdir(OUT, { recursive: true });
  await writeFile(new URL('cpu.json', OUT), json);
  await writeFile(new URL('cpu.md', OUT), cpuMarkdown(results));
  await writeFile(new URL('cpu.svg', OUT), cpuChart(results));
  console.error('wrote docs/benchmarks/cpu.json, cpu.md and cpu.svg');
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
