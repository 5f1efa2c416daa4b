/**
 * The kernels of DSConv under every order of threads and of asynchronous copies that the emulation has, and with `-DMUTATION_n` ways in which they could be wrong,
 * each of which must show: in a result, or in what the emulation says.
 */
import { convolution, type NumericCase, type OperatorCase } from '@dsconv/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildEmulation } from '../emulation/build.mjs';
import { CudaBackend } from '../src/backend.js';
import { CudaDevice } from '../src/device/device.js';
import { TILES, type Tile, WGMMA_TILES } from '../src/dsconv/tiles.js';
import { type Forms, forcedTile, runCall } from './support/dsconv-calls.js';
import { missing, openCheck, withEnvironment } from './support/native-device.js';

/** Orders in which threads run, and when asynchronous copies arrive. */
const SCHEDULES = [
  { EMU_SCHED: '0', EMU_EAGER: '0' },
  { EMU_SCHED: '1', EMU_EAGER: '0' },
  { EMU_SCHED: '2', EMU_EAGER: '1' },
  { EMU_SCHED: '7', EMU_EAGER: '2' },
  { EMU_SCHED: '11', EMU_EAGER: '1' },
  { EMU_SCHED: '0', EMU_EAGER: '3' },
];
const nameOf = ({ EMU_SCHED, EMU_EAGER }: (typeof SCHEDULES)[number]): string => `${EMU_SCHED}/${EMU_EAGER}`;

/** Where each mutation is compiled in; headers have some. */
const MUTATIONS: [number: number, what: string, file: string][] = [
  [1, 'padding is read, not filled with zeros', 'dsconv_mma.cu'],
  [2, 'fragments are read in another order of pieces', 'dsconv_mma.cu'],
  [3, 'the halves of a fragment are exchanged', 'dsconv_mma.cu'],
  [4, 'copies are not waited for', 'dsconv_mma.cu'],
  [5, 'the other threads are not waited for', 'dsconv_mma.cu'],
  [6, 'a step that is read is written over', 'dsconv_mma.cu'],
  [7, 'a short last block goes on in the next tap', 'dsconv_mma.cu'],
  [8, 'all pairs of fragments are the first', 'dsconv_mma.cu'],
  [9, 'all blocks of a step have the scales of the first', 'dsconv_mma.cu'],
  [10, 'the tile of the epilogue is written while others read steps', 'dsconv_mma.cu'],
  [11, 'the last part of the depth is forgotten', 'dsconv_mma.cu'],
  [12, 'the window is read before it is filled', 'dsconv_direct.cu'],
  [13, 'weights are overwritten before they are read', 'dsconv_direct.cu'],
  [14, 'the window is read before it is filled', 'ds_depthwise.cu'],
  [15, 'the exponent is that of a part of the block', 'bfp.cu'],
  [16, 'copies are not waited for', 'dsconv_wgmma.cu'],
  [17, 'wgmma may see what was there before the copies', 'dsconv_wgmma.cu'],
  [18, 'the other threads are not waited for', 'dsconv_wgmma.cu'],
  [19, 'sums are read before they are there', 'dsconv_wgmma.cu'],
];

function exact(name: string, overrides: Partial<OperatorCase>): NumericCase {
  return { ...convolution(name, overrides), tier: 'exact', level: 'core' };
}

const tileNamed = (kernel: string): Tile =>
  [...TILES, ...WGMMA_TILES].find((tile) => tile.kernel === kernel)!;

/** Small calls that reach every loop of the kernels: several steps, all kinds of edges. */
const CALLS: [NumericCase, Forms][] = [
  [
    exact('blocks of 64', {
      inputShape: [1, 6, 7, 192],
      kernelSize: [2, 2],
      outChannels: 70,
      blockSize: 64,
      data: 'rounding',
    }),
    { choose: forcedTile(tileNamed('dsconv2d_64x64_b64'), 1) },
  ],
  [
    exact('blocks of 32', {
      inputShape: [1, 5, 6, 96],
      kernelSize: [3, 1],
      outChannels: 40,
      blockSize: 32,
    }),
    { choose: forcedTile(tileNamed('dsconv2d_128x64_b32'), 2) },
  ],
  [
    exact('blocks of 128', {
      inputShape: [1, 5, 5, 256],
      kernelSize: [2, 1],
      outChannels: 24,
      blockSize: 128,
      bits: 8,
    }),
    { choose: forcedTile(tileNamed('dsconv2d_64x64_b128'), 1) },
  ],
  [
    exact('short last blocks', {
      inputShape: [2, 5, 6, 72],
      kernelSize: [3, 3],
      outChannels: 33,
      blockSize: 48,
      bits: 2,
    }),
    { choose: forcedTile(tileNamed('dsconv2d_64x32'), 3) },
  ],
  [
    {
      ...exact('numbers of all sizes', {
        inputShape: [1, 3, 4, 128],
        kernelSize: [1, 1],
        blockSize: 64,
        data: 'random',
      }),
      tier: 'bounded',
    },
    {},
  ],
  [
    exact('first layer', {
      inputShape: [1, 9, 9, 3],
      kernelSize: [3, 3],
      strides: [2, 2],
      outChannels: 40,
      bits: 8,
    }),
    {},
  ],
  [
    {
      ...exact('depthwise', { inputShape: [1, 9, 9, 40], outChannels: 40, bits: 8 }),
      kernel: 'DSDepthwiseConv2D',
      shifters: { kds: false, kdsBias: false, cds: true, cdsBias: false },
    },
    {},
  ],
];

/** The same for the kernels of wgmma: more steps than the ring has, and an odd number of blocks. */
const WGMMA_CALLS: [NumericCase, Forms][] = [
  [
    exact('groups of warps, blocks of 64', {
      inputShape: [1, 5, 6, 192],
      kernelSize: [3, 1],
      outChannels: 70,
      blockSize: 64,
    }),
    { choose: forcedTile(tileNamed('dsconv2d_wgmma_128x128_b64'), 1) },
  ],
  [
    exact('groups of warps, blocks of 128', {
      inputShape: [1, 6, 6, 256],
      kernelSize: [2, 2],
      outChannels: 40,
      blockSize: 128,
      bits: 8,
    }),
    { choose: forcedTile(tileNamed('dsconv2d_wgmma_128x64_b128'), 1) },
  ],
];

/** What is wrong with a library under a schedule, or null. */
async function run(
  library: string,
  schedule: (typeof SCHEDULES)[number],
  calls = [...CALLS, ...WGMMA_CALLS],
): Promise<string | null> {
  const device = { DSCONV_CUDA_DRIVER: library, DSCONV_EMULATED_CC: '90' };
  return withEnvironment({ ...device, ...schedule }, () => {
    const backend = new CudaBackend(new CudaDevice(0, openCheck()));
    try {
      for (const [c, forms] of calls) {
        const wrong = runCall(backend, c, forms);
        if (wrong !== null) return wrong;
      }
      return null;
    } catch (error) {
      return (error as Error).message;
    } finally {
      backend.dispose();
    }
  });
}

describe.skipIf(missing)('kernels of DSConv', () => {
  const caught = new Map<number, string[]>();

  beforeAll(async () => {
    await buildEmulation();
  }, 600_000);

  afterAll(() => {
    for (const [number, schedules] of caught)
      console.log(`mutation ${number} is caught by ${schedules.join(' ')}`);
  });

  test.each(SCHEDULES)('are right under schedule %o', async (schedule) => {
    expect(await run((await buildEmulation()).library, schedule)).toBeNull();
  });

  test.each(MUTATIONS)('mutation %i is caught: %s', { timeout: 600_000 }, async (number, _what, file) => {
    const { library } = await buildEmulation({ mutation: { file, number } });
    const by: string[] = [];
    for (const schedule of SCHEDULES) {
      const calls = file === 'dsconv_wgmma.cu' ? WGMMA_CALLS : CALLS;
      if ((await run(library, schedule, calls)) !== null) by.push(nameOf(schedule));
    }
    caught.set(number, by);
    expect(by).not.toEqual([]);
  });
});
