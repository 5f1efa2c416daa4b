/** What a loaded network and its plan keep resident, in the native tier on one thread. */
import { stat } from 'node:fs/promises';
import { compile, dsconv2d, quantizeFilter } from '@dsconv/core';
import { zeros } from '@tensorflow/tfjs-core';
import { CLASSES, randomPictures } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { picture, planOf, resident, useNative } from './native.mjs';

/** @param {{ file: string }} parameters path of a quantized network */
export default async function memory({ file }) {
  await useNative(1);
  const x = picture();
  const [input, output] = [randomPictures(1), new Float32Array(CLASSES)];
  await warmUp();
  const before = await resident();
  let network = await readNetworkFrom(file);
  const plan = await planOf(network, x);
  await plan.run([input], [output]);
  const growthBytes = (await resident()) - before;
  // The plan has its own packing: whoever only runs plans can let the network go.
  network.dispose();
  network = null;
  const planOnlyGrowthBytes = (await resident()) - before;
  const { arenaBytes, liveBytes } = plan;
  return { fileBytes: (await stat(file)).size, arenaBytes, liveBytes, growthBytes, planOnlyGrowthBytes };
}

/** The first plan of a process also pays for code and threads, which is no network's. */
async function warmUp() {
  const filter = quantizeFilter(new Float32Array(64 * 64).fill(1), [1, 1, 64, 64], {
    bits: 4,
    blockSize: 64,
  });
  const x = zeros([1, 4, 4, 64]);
  const plan = await compile((input) => dsconv2d(input, filter, 1, 'same'), x);
  await plan.run(x);
  plan.dispose();
  filter.dispose();
  x.dispose();
}
