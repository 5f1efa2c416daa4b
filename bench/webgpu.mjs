/**
 * `npm run bench:webgpu`: whole networks and single layers on the GPU, this project beside what a user would take instead, in Node and in Chromium.
 * `--help` lists the options.
 *
 *     npm run bench:webgpu                                                     all of it, into docs/benchmarks
 *     npm run bench:webgpu -- --only resnet50 --runtimes chromium --out part.json
 */
import { slotsOf } from './cpu/engines.mjs';
import { referenceLogits } from './cpu/logits.mjs';
import { lineOf, measureCase } from './cpu/measure.mjs';
import { NETWORKS, NetworkFiles } from './cpu/networks.mjs';
import { machine } from './machine.mjs';
import { writeResults } from './results.mjs';
import { ENGINES } from './webgpu/engines.mjs';
import { LAYER_NETWORKS, measureLayers } from './webgpu/layers.mjs';
import { webgpuMarkdown } from './webgpu/markdown.mjs';
import { writeOnnx } from './webgpu/onnx-files.mjs';
import { readOptions } from './webgpu/options.mjs';
import { ratiosOf } from './webgpu/ratios.mjs';
import { openRuntime, RUNTIMES } from './webgpu/runtimes.mjs';

async function main() {
  const options = readOptions(process.argv.slice(2));
  const files = new NetworkFiles();
  const runtimes = [];
  const cases = [];
  let layers;
  try {
    for (const name of options.runtimes) runtimes.push(await openNamed(name));
    for (const network of options.sections.includes('networks') ? options.networks : []) {
      cases.push(...(await measureNetwork(network, options, files, runtimes)));
    }
    if (options.sections.includes('layers')) layers = await measureAllLayers(options, runtimes);
  } finally {
    for (const { close } of runtimes) close();
    files.remove();
  }
  const adapters = Object.fromEntries(
    runtimes.map(({ name, adapter, reason }) => [name, adapter ?? { missing: reason }]),
  );
  const results = { machine: { ...machine(), adapters }, cases, ratios: ratiosOf(cases), layers };
  await writeResults(results, options.out, 'webgpu', { md: webgpuMarkdown });
}

async function openNamed(name) {
  const runtime = await openRuntime(name);
  const { adapter, reason } = runtime;
  const described = adapter && [adapter.vendor, adapter.architecture, adapter.description].filter(Boolean);
  const note = adapter?.software ? ' (software: it computes on the CPU)' : '';
  console.error(`${RUNTIMES[name]}: ${adapter ? `${described.join(', ')}${note}` : `no WebGPU: ${reason}`}`);
  return runtime;
}

async function measureNetwork(network, options, files, runtimes) {
  const { batches, blockSizes, engines, runs } = options;
  const { title } = NETWORKS[network];
  console.error(`${title}: random weights, quantizing …`);
  const paths = await files.make(network, blockSizes);
  const reference = await referenceLogits(paths.float);
  const cases = [];
  for (const batch of batches) {
    const onnx = await writeOnnx(paths.float, batch);
    for (const { name: runtime, adapter, reason, start } of runtimes) {
      console.error(`${title}, batch ${batch}, ${RUNTIMES[runtime]}`);
      const unavailable = Object.fromEntries(engines.map((engine) => [engine, adapter ? null : reason]));
      const measured = await measureCase({
        ...{ network, batch, threads: 1, runs, reference, unavailable, start, engines: ENGINES },
        // A software adapter computes in the engine's own process: what it used says more than the clock.
        processor: adapter?.software,
        slots: slotsOf(engines, blockSizes, ENGINES),
        files: { ...paths, ...onnx },
      });
      for (const entry of measured) console.error(`  ${lineOf(entry)}`);
      cases.push(...measured.map(({ threads: _, ...entry }) => ({ runtime, ...entry })));
    }
  }
  return cases;
}

async function measureAllLayers({ engines, networks, blockSizes: [blockSize] }, runtimes) {
  const results = [];
  for (const runtime of runtimes.filter(({ adapter }) => adapter)) {
    for (const network of Object.keys(LAYER_NETWORKS).filter((name) => networks.includes(name))) {
      console.error(`layers of ${LAYER_NETWORKS[network]}, ${RUNTIMES[runtime.name]}`);
      const onLayer = ({ layer, ms }) => {
        const times = Object.entries(ms).map(([engine, time]) => `${engine} ${time ?? 'failed'}`);
        console.error(`  ${layer.padEnd(40)} ${times.join('  ')}`);
      };
      results.push(await measureLayers(network, runtime, { engines, blockSize, onLayer }));
    }
  }
  return results;
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
