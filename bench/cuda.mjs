/**
 * `npm run bench:cuda`: networks and layers on the GPU of this machine, beside PyTorch where python3 has it. `--help` lists the options. It also runs from the kit of
 * scripts/cuda-kit.mjs on a machine that has nothing but a driver.
 */
import { env } from '@tensorflow/tfjs-core';
import { openDevice } from './cuda/device.mjs';
import { measureLayers } from './cuda/layers.mjs';
import { cudaMarkdown } from './cuda/markdown.mjs';
import { measureNetworks } from './cuda/networks.mjs';
import { readOptions } from './cuda/options.mjs';
import { measureOverhead } from './cuda/overhead.mjs';
import { measurePyTorch } from './cuda/pytorch.mjs';
import { soak } from './cuda/soak.mjs';
import { machine } from './machine.mjs';
import { writeResults } from './results.mjs';

async function main() {
  const options = readOptions(process.argv.slice(2));
  env().set('IS_TEST', true);
  const device = await openDevice(options);
  console.error(`${device.name}, compute capability ${device.computeCapability.join('.')}`);
  const results = { machine: { ...machine(), device } };
  const part = async (name, measure) => {
    if (options.sections.includes(name)) results[name] = await measure(options);
  };
  await part('overhead', measureOverhead);
  await part('networks', measureNetworks);
  await part('layers', measureLayers);
  await part('soak', soak);
  await part('pytorch', measurePyTorch);
  await writeResults(results, options.out, 'cuda', { md: cudaMarkdown });
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
