/**
 * `npm run bench:overhead`: what a run costs besides the device's work: an empty graph, a small input, a small output, on the emulation of the driver, whose own
 * calls are counted in. One run after the other (latency), and several in flight (pipelined).
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { buildEmulation } from '../emulation/build.mjs';

const folder = fileURLToPath(new URL('../emulation/mutations', import.meta.url));
process.env.DSCONV_CUDA_DRIVER ??= (await buildEmulation({ folder })).library;
const addon = createRequire(import.meta.url)('node-gyp-build')(fileURLToPath(new URL('.', import.meta.url)));

const device = addon.open(0);
const stream = device.createStream();
const [x, y] = [device.malloc(4096), device.malloc(4096)];
device.beginCapture(stream);
const graph = device.endCapture(stream);
const places = { inputs: [{ address: x, bytes: 4096 }], outputs: [{ address: y, bytes: 4096 }] };
const runner = device.createRunner({ graph, stream, ...places });
const input = [new Float32Array(1024)];
const output = [new Float32Array(1024)];

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** Microseconds a run, median of rounds. */
async function measure(inFlight, rounds = 60, runs = 200) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const began = process.hrtime.bigint();
    for (let n = 0; n < runs; n += inFlight) {
      if (inFlight === 1) await device.run(runner, input, output);
      else await Promise.all(Array.from({ length: inFlight }, () => device.run(runner, input, output)));
    }
    times.push(Number(process.hrtime.bigint() - began) / 1e3 / runs);
  }
  return { median: median(times), least: times[0] };
}

await measure(1, 5);
const text = ({ median, least }) => `${median.toFixed(1)} µs (least ${least.toFixed(1)})`;
console.log(`latency of a run: ${text(await measure(1))}`);
console.log(`a run of 20 in flight: ${text(await measure(20))}`);
// What of that is the call itself: no promise is awaited in between.
const calls = [];
for (let round = 0; round < 60; round++) {
  const promises = [];
  const began = process.hrtime.bigint();
  for (let n = 0; n < 20; n++) promises.push(device.run(runner, input, output));
  calls.push(Number(process.hrtime.bigint() - began) / 1e3 / 20);
  await Promise.all(promises);
}
console.log(`the call alone: ${text({ median: median(calls), least: calls[0] })}`);
device.close();
