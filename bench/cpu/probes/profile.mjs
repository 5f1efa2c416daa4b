/** Where the time of a network's plan goes, in the native tier on one thread. */
import { measurePeaks, profilePlan } from '@dsconv/backend-cpu';
import { capture } from '@dsconv/core';
import { CLASSES, randomPictures } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { picture, useNative } from './native.mjs';

/**
 * @param {{ file: string, runs: number }} parameters
 * @returns {Promise<{ peaks: object, steps: import('@dsconv/backend-cpu').StepTime[] }>} median microseconds of every step; peaks as measured between
 *   the runs, so that clocks and neighbours are the same
 */
export default async function profile({ file, runs }) {
  await useNative(1);
  const network = await readNetworkFrom(file);
  const plan = await profilePlan(capture((input) => network.logits(input), picture()));
  const [input, output] = [randomPictures(1), new Float32Array(CLASSES)];
  for (let n = 0; n < 5; n++) await plan.run([input], [output]);
  const profiles = [];
  const peaks = [];
  for (let n = 0; n < runs; n++) {
    if (n % Math.ceil(runs / 5) === 0) peaks.push(await measurePeaks());
    profiles.push(await plan.run([input], [output]));
  }
  const steps = profiles[0].map((step, n) => ({
    ...step,
    microseconds: median(profiles.map((times) => times[n].microseconds)),
  }));
  plan.dispose();
  const best = (name) => Math.max(...peaks.map((peak) => peak[name]));
  return { peaks: { isa: peaks[0].isa, int8Dot: best('int8Dot'), floatFma: best('floatFma') }, steps };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
