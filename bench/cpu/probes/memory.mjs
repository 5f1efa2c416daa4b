/** What a loaded network and its plan keep resident, in the native tier on one thread. */
import { stat } from 'node:fs/promises';
import { CLASSES, randomPictures } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { picture, planOf, resident, useNative } from './native.mjs';

/** @param {{ file: string }} parameters path of a quantized network */
export default async function memory({ file }) {
  await useNative(1);
  const x = picture();
  const [input, output] = [randomPictures(1), new Float32Array(CLASSES)];
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
