/** What a plan's run costs beside the GPU's work: a run without launches and copies goes through everything else. */
import { backend } from '@tensorflow/tfjs-core';
import { summary } from './clock.mjs';

const RUNS = 2000;

export async function measureOverhead() {
  const { device } = backend();
  const { native } = device;
  const stream = device.newStream();
  const runner = native.createRunner({ graph: null, stream, inputs: [], outputs: [] });
  const calls = [];
  const latencies = [];
  for (let n = 0; n < RUNS; n++) {
    const begun = performance.now();
    const done = native.run(runner, [], []);
    calls.push(1000 * (performance.now() - begun));
    await done;
    latencies.push(1000 * (performance.now() - begun));
  }
  const begun = performance.now();
  await Promise.all(Array.from({ length: RUNS }, () => native.run(runner, [], [])));
  const pipelined = (1000 * (performance.now() - begun)) / RUNS;
  native.destroyRunner(runner);
  device.endStream(stream);
  const half = RUNS / 2;
  const found = {
    // The first half warms up.
    callMicroseconds: summary(calls.slice(half)),
    latencyMicroseconds: summary(latencies.slice(half)),
    pipelinedMicroseconds: pipelined,
  };
  console.error(
    `a run without work: call ${found.callMicroseconds.median.toFixed(1)} µs, until its promise ${found.latencyMicroseconds.median.toFixed(1)} µs, one after the other ${pipelined.toFixed(1)} µs`,
  );
  return found;
}
