/** A plan and eager runs in turns for minutes: resident memory has to stay where it is. */
import { CLASSES, randomPictures } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { picture, planOf, resident, useNative } from './native.mjs';

const SAMPLES = 40;

/** @param {{ file: string, threads: number, minutes: number }} parameters */
export default async function soak({ file, threads, minutes }) {
  await useNative(threads);
  const network = await readNetworkFrom(file);
  const x = picture();
  const plan = await planOf(network, x);
  const [input, output] = [randomPictures(1), new Float32Array(CLASSES)];
  const turn = async () => {
    await Promise.all([plan.run([input], [output]), plan.run([input], [output])]);
    const logits = network.logits(x);
    logits.dataSync();
    logits.dispose();
    // Plans come and go in servers that have several networks.
    const other = await planOf(network, x);
    await other.run([input], [output]);
    other.dispose();
  };
  // Until the allocators have what they need.
  for (let n = 0; n < 10; n++) await turn();
  const start = await resident();
  const samples = [];
  const begin = performance.now();
  let turns = 0;
  for (let n = 0; n < SAMPLES; n++) {
    const until = begin + ((n + 1) / SAMPLES) * minutes * 60_000;
    do {
      await turn();
      turns++;
    } while (performance.now() < until);
    samples.push((await resident()) - start);
  }
  return {
    minutes,
    threads,
    turns,
    startBytes: start,
    growthBytes: samples,
    lastGrowthBytes: samples.at(-1),
  };
}
