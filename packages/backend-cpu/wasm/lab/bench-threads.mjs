/**
 * Plans of whole networks on 1, 2, … threads, in turns, so that all meet the same weather. Runs the built packages with random weights.
 * Usage: node bench-threads.mjs [architecture] [batch] [threads,…] [rounds] [tier], as in `node bench-threads.mjs resnet50 64 1,2 5`
 */
import { loadavg } from 'node:os';
import * as cpu from '@dsconv/backend-cpu';
import { compile, getDSConvBackend, selectBackend } from '@dsconv/core';
import { createArchitecture, listModels, Network, randomQuantizedParameters } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';

const [name = 'resnet50', batch = '1', list = '1,2', rounds = '7', tier = 'wasm-relaxed-simd'] =
  process.argv.slice(2);

const model = listModels().find(({ id }) => id.startsWith(name));
if (!model) throw new Error(`no network of the zoo begins with '${name}'`);
const architecture = createArchitecture(model.architecture);
const { inputSize: size, channels } = architecture;
await selectBackend([getDSConvBackend(cpu.BACKEND_NAME).pinTier(tier)]);
const weights = randomQuantizedParameters(architecture, 1, { bits: 4, blockSize: 64 });
const network = new Network({
  architecture,
  weights,
  preprocessing: { size, channels, resize: { mode: 'shorterSide', cropRatio: 1 }, range: [0, 1] },
});
const pixels = Float32Array.from({ length: +batch * size * size * channels }, (_, n) => Math.sin(n * 0.37));
const x = tensor4d(pixels, [+batch, size, size, channels]);
const plan = await compile((input) => network.logits(input), x);
if (plan.mode !== 'compiled') throw new Error(plan.reason);
const outputs = plan.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));

const counts = list.split(',').map(Number);
const times = new Map(counts.map((count) => [count, []]));
// The first run packs the weights.
await plan.compiled.run([pixels], outputs);
for (let round = 0; round < +rounds; round++) {
  for (const count of counts) {
    await cpu.setThreads(count);
    const start = performance.now();
    await plan.compiled.run([pixels], outputs);
    times.get(count).push(performance.now() - start);
  }
}
const best = (count) => Math.min(...times.get(count));
const median = (count) => times.get(count).toSorted((a, b) => a - b)[times.get(count).length >> 1];
console.log(`${model.id}, batch ${batch}, ${tier}, load ${loadavg()[0].toFixed(1)}`);
for (const count of counts) {
  const speedup = `${(median(counts[0]) / median(count)).toFixed(2)} times as fast`;
  console.log(
    `${count} thread${count === 1 ? ' ' : 's'}  median ${median(count).toFixed(1)} ms  best ${best(count).toFixed(1)} ms  ${speedup}`,
  );
}
