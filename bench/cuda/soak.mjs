/** Minutes of mixed load: plans and eager runs, tensors until memory is out, everything given back. */
import { compile, dsconv2d, quantizeFilter } from '@dsconv/core';
import { backend, dispose, memory, neg, ones, randomNormal, tidy } from '@tensorflow/tfjs-core';
import { bytesInUse, synchronize } from './device.mjs';

const FILTER = [3, 3, 64, 64];

export async function soak({ soakSeconds }) {
  const weights = Float32Array.from({ length: FILTER.reduce((a, b) => a * b, 1) }, (_, n) => Math.sin(n));
  const filter = quantizeFilter(weights, FILTER, { bits: 4, blockSize: 32 });
  const body = (x) => dsconv2d(dsconv2d(x, filter, 1, 'same', { activation: 'relu' }), filter, 2, 'same');
  const x = randomNormal([8, 28, 28, 64]);
  const plan = await compile(body, x);
  const wanted = tidy(() => body(x).dataSync().slice());
  let [rounds, outOfMemory] = [0, 0];
  // The first round makes what is cached from then on.
  await round(plan, body, x, wanted);
  const before = figures();
  const end = performance.now() + 1000 * soakSeconds;
  let shown = performance.now();
  while (performance.now() < end) {
    await round(plan, body, x, wanted);
    if (rounds % 50 === 0) outOfMemory += await exhaust();
    rounds++;
    if (performance.now() - shown > 10_000) {
      shown = performance.now();
      console.error(
        `soak: ${rounds} rounds, memory ran out ${outOfMemory} times, ${figures().inUse} bytes in use`,
      );
    }
  }
  await synchronize();
  const after = figures();
  plan.dispose();
  x.dispose();
  filter.dispose();
  if (after.inUse !== before.inUse || after.tensors !== before.tensors) {
    throw new Error(`memory is not flat: ${JSON.stringify(before)} before, ${JSON.stringify(after)} after`);
  }
  return { seconds: soakSeconds, rounds, outOfMemory, before, after };
}

async function round(plan, body, x, wanted) {
  const runs = await Promise.all([plan.run(x), plan.run(x)]);
  const eager = tidy(() => body(x));
  for (const y of [...runs, eager]) {
    const values = await y.data();
    if (values.some((value, n) => value !== wanted[n])) throw new Error('a result under load is another one');
  }
  dispose([...runs, eager]);
}

/** Takes memory until there is none, and gives it back. */
async function exhaust() {
  const held = [];
  const { limit, inUse } = backend().device.memory;
  const elements = Math.max(1, Math.floor((limit - inUse) / 4 / 8));
  try {
    // Tensors are brought to the device when a kernel reads them.
    for (let n = 0; n < 12; n++) held.push(tidy(() => neg(ones([elements]))));
    return 0;
  } catch (error) {
    if (error.code !== 'OUT_OF_MEMORY') throw error;
    return 1;
  } finally {
    dispose(held);
  }
}

const figures = () => ({ inUse: bytesInUse(), tensors: memory().numTensors, rss: process.memoryUsage().rss });
