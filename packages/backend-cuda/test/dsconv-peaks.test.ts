import '../src/index.js';
import { expect, it } from 'vitest';
import { measurePeaks, peakLaunches } from '../src/dsconv/peaks.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

it('copies what it is told to, and counts what it does', async () => {
  const backend = cuda();
  const values = Float32Array.from({ length: 4096 }, (_, n) => n);
  const from = backend.uploaded(values);
  const to = backend.uploaded(new Float32Array(4096));
  const launches = peakLaunches(backend, { from, to, bytes: 16384 }, 3);
  expect(launches.map(({ what, amount }) => [what, amount / backend.device.info.multiprocessors])).toEqual([
    ['integerProducts', 64 * 3 * 8 * 16 * 8 * 32],
    ['floatProducts', 8 * 256 * 3 * 32],
    ['bytes', 32768 / backend.device.info.multiprocessors],
  ]);
  for (const { launch } of launches) launch();
  const { device } = backend;
  const found = new Float32Array(4096);
  device.native.readSync(to, found, device.stream);
  expect(found).toEqual(values);
  for (const address of [from, to]) backend.free(address);
  const peaks = await measurePeaks(backend, { bytes: 65536, turns: 2, runs: 1 });
  for (const rate of Object.values(peaks)) expect(rate).toBeGreaterThan(0);
});
