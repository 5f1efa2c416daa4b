/**
 * The float kernels under every order of threads that the emulation has, and with `-DMUTATION_n` ways in which they could be wrong, each of which must show: in
 * a result, or in what the emulation says.
 */
import { resolveGeometry } from '@dsconv/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildEmulation } from '../emulation/build.mjs';
import { CudaBackend } from '../src/backend.js';
import { CudaDevice } from '../src/device/device.js';
import type { Launcher } from '../src/device/launch.js';
import { launchBatchMoments } from '../src/kernels/batch-norm-statistics.js';
import { launchConv2d } from '../src/kernels/conv2d.js';
import { NO_EPILOGUE } from '../src/kernels/conv2d-epilogue.js';
import { launchConv2dFilterGradient, launchConv2dInputGradient } from '../src/kernels/conv2d-gradients.js';
import { launchDepthwiseFilterGradient } from '../src/kernels/depthwise-gradients.js';
import { launchMatMul } from '../src/kernels/mat-mul.js';
import type { TilingChoice } from '../src/kernels/mat-mul-tiles.js';
import { launchPoolGradient } from '../src/kernels/pool.js';
import { integers, odd } from './support/float-court.js';
import { missing, openCheck, withEnvironment } from './support/native-device.js';

/** Orders in which threads run. */
const SCHEDULES = ['0', '1', '2', '7'];

/** Where each mutation is compiled in; headers have some. */
const MUTATIONS: [number: number, file: string][] = [
  [1, 'gemm.cu'],
  [2, 'gemm.cu'],
  [3, 'gemm.cu'],
  [4, 'gemm.cu'],
  [5, 'gemm.cu'],
  [6, 'conv_forward.cu'],
  [7, 'conv_forward.cu'],
  [8, 'conv_input_gradient.cu'],
  [9, 'conv_filter_gradient.cu'],
  [10, 'depthwise_float_gradient.cu'],
  [11, 'batch_norm_sums.cu'],
  [12, 'pool_gradient.cu'],
  [13, 'conv_forward.cu'],
];

/** Memory of one library, and what launches write there. */
class Bench {
  readonly results: Float32Array[] = [];
  private readonly addresses: number[] = [];

  constructor(private readonly backend: CudaBackend) {}

  given(values: Float32Array): number {
    const address = this.backend.uploaded(values);
    this.addresses.push(address);
    return address;
  }

  /** What `launch` writes to `size` values. */
  found(size: number, launch: (launcher: Launcher, y: number) => void): void {
    const y = this.given(new Float32Array(size).fill(Number.NaN));
    launch(this.backend, y);
    const { native, stream } = this.backend.device;
    const values = new Float32Array(size);
    native.readSync(y, values, stream);
    this.results.push(values);
  }

  end(): void {
    for (const address of this.addresses) this.backend.free(address);
  }
}

const values = (size: number, seed: number): Float32Array => integers([size], seed).values;

const geometry = resolveGeometry({
  inputShape: [2, 7, 5, 4],
  outChannels: 68,
  kernelSize: [3, 3],
  pad: 'same',
  strides: 2,
});

function everything(bench: Bench): void {
  const [m, n, k] = [72, 68, 44];
  const [a, b] = [bench.given(values(m * k, 1)), bench.given(values(k * n, 2))];
  const matrices = { a, b, m, n, k, transposeA: false, transposeB: true, epilogue: NO_EPILOGUE };
  for (const choice of [
    { tile: 'small' },
    { tile: 'wide' },
    { tile: 'small', splits: 3 },
  ] as TilingChoice[]) {
    bench.found(m * n, (launcher, y) =>
      launchMatMul(launcher, { ...matrices, y, batch: { shape: [], aSteps: [], bSteps: [] }, choice }),
    );
  }
  const { batch, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = geometry;
  const [inputs, weights] = [batch * inHeight * inWidth * inChannels, 9 * inChannels * outChannels];
  const outputs = batch * outHeight * outWidth * outChannels;
  const [x, filter, dy] = [
    bench.given(values(inputs, 3)),
    bench.given(values(weights, 4)),
    bench.given(values(outputs, 5)),
  ];
  const strange = bench.given(odd({ shape: [weights], values: values(weights, 4) }, 6, 0.002).values);
  const choice: TilingChoice = { tile: 'small', splits: 2 };
  for (const w of [filter, strange]) {
    bench.found(outputs, (launcher, y) =>
      launchConv2d(launcher, { geometry, x, filter: w, y, epilogue: NO_EPILOGUE, choice }),
    );
  }
  bench.found(inputs, (launcher, dx) =>
    launchConv2dInputGradient(launcher, { geometry, dy, filter, dx, choice }),
  );
  bench.found(weights, (launcher, dw) =>
    launchConv2dFilterGradient(launcher, { geometry, x, dy, dw, choice }),
  );
  const own = { ...geometry, outChannels: inChannels };
  const [dwDy, pixels] = [
    bench.given(values(batch * outHeight * outWidth * inChannels, 7)),
    batch * outHeight * outWidth,
  ];
  bench.found(9 * inChannels, (launcher, dw) =>
    launchDepthwiseFilterGradient(launcher, { geometry: own, x, dy: dwDy, dw, splits: 2 }),
  );
  expect(pixels).toBeGreaterThan(8);
  bench.found(inputs, (launcher, dx) =>
    launchPoolGradient(launcher, 'max', { geometry: own, x, dy: dwDy, dx }),
  );
  bench.found(2 * inChannels, (launcher, y) =>
    launchBatchMoments(launcher, {
      x,
      mean: y,
      variance: y + 4 * inChannels,
      rows: inputs / inChannels,
      channels: inChannels,
    }),
  );
}

/** All results with a library under a schedule, or what was said instead. */
async function run(library: string, schedule: string): Promise<Float32Array[] | string> {
  return withEnvironment({ DSCONV_CUDA_DRIVER: library, EMU_SCHED: schedule }, () => {
    const native = openCheck();
    const backend = new CudaBackend(new CudaDevice(0, native));
    const bench = new Bench(backend);
    try {
      everything(bench);
      bench.end();
      return bench.results;
    } catch (error) {
      return (error as Error).message;
    } finally {
      backend.dispose();
    }
  });
}

const equal = (a: Float32Array, b: Float32Array): boolean =>
  a.every((value, n) => value === b[n] || (Number.isNaN(value) && Number.isNaN(b[n])));

describe.skipIf(missing)('float kernels', () => {
  let wanted: Float32Array[] | string = '';
  const caught = new Map<number, string[]>();

  beforeAll(async () => {
    wanted = await run((await buildEmulation()).library, '0');
  }, 600_000);

  afterAll(() => {
    for (const [number, schedules] of caught)
      console.log(`mutation ${number} is caught by ${schedules.join(' ')}`);
  });

  test.each(SCHEDULES)('are the same under schedule %s', async (schedule) => {
    expect(wanted).toBeInstanceOf(Array);
    expect(await run((await buildEmulation()).library, schedule)).toEqual(wanted);
  });

  test.each(MUTATIONS)('mutation %i of %s is caught', { timeout: 600_000 }, async (number, file) => {
    const { library } = await buildEmulation({ mutation: { file, number } });
    const by: string[] = [];
    for (const schedule of SCHEDULES) {
      const found = await run(library, schedule);
      const same =
        Array.isArray(found) && found.every((result, n) => equal(result, wanted[n] as Float32Array));
      if (!same) by.push(schedule);
    }
    caught.set(number, by);
    expect(by).not.toEqual([]);
  });
});
