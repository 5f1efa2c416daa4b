/** How late a timer of 1 ms is while a plan runs in a loop, and while nothing runs. */
import { CLASSES, randomPictures } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { picture, planOf, useNative } from './native.mjs';

/** @param {{ file: string, threads: number, seconds: number }} parameters */
export default async function eventLoop({ file, threads, seconds }) {
  await useNative(threads);
  const plan = await planOf(await readNetworkFrom(file), picture());
  const [input, output] = [randomPictures(1), new Float32Array(CLASSES)];
  for (let n = 0; n < 5; n++) await plan.run([input], [output]);
  let runs = 0;
  const busy = await lateness(seconds, async () => {
    await plan.run([input], [output]);
    runs++;
  });
  const idle = await lateness(Math.min(seconds, 2), () => new Promise((resolve) => setTimeout(resolve, 20)));
  return { threads, seconds, runs, busy, idle };
}

/** Milliseconds between when ticks were due and when they came. */
async function lateness(seconds, body) {
  const late = [];
  let due = performance.now() + 1;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - due));
    due = now + 1;
  }, 1);
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) await body();
  clearInterval(timer);
  late.sort((a, b) => a - b);
  const at = (share) => Number(late[Math.min(late.length - 1, Math.floor(late.length * share))].toFixed(3));
  return { ticks: late.length, medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
