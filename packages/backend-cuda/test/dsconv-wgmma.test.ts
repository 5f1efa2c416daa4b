/** The tiles of wgmma on an emulated device of compute capability 9.0: shapes of all kinds, what plans ask for, and which device gets them. */
import '../src/index.js';
import {
  boundedCases,
  convolution,
  exactCases,
  type NumericCase,
  type OperatorCase,
} from '@dsconv/conformance';
import { DSCONV2D, getDSConvBackend, resolveGeometry } from '@dsconv/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CudaBackend } from '../src/backend.js';
import type { Launch } from '../src/device/launch.js';
import { type ConvolutionCall, targetOf } from '../src/dsconv/convolution.js';
import { chooseKernel, type KernelChoice } from '../src/dsconv/kernel-choice.js';
import { peakLaunches } from '../src/dsconv/peaks.js';
import { chooseTile, servesBlocks, type TileFilter, WGMMA_TILES } from '../src/dsconv/tiles.js';
import { BACKEND_NAME, useCuda } from '../src/index.js';
import { chunksOf, LEAST_FRAGMENT_DEPTH } from '../src/layout/pack-filter.js';
import { testWgmma, WGMMA } from '../src/self-test.js';
import { cuda, onCuda } from './support/cuda.js';
import { forcedTile, isExact, runCall } from './support/dsconv-calls.js';
import { withEnvironment } from './support/native-device.js';

process.env.DSCONV_EMULATED_CC = '90';
onCuda();

const judged = (c: OperatorCase): NumericCase => ({
  ...c,
  tier: isExact(c) ? 'exact' : 'bounded',
  level: 'core',
});

/** Convolutions that go past the edges of tiles, steps and blocks. */
const shapes = fc.record({
  size: fc.constantFrom<[number, number, number]>([1, 5, 7], [1, 9, 11], [2, 9, 9]),
  outputs: fc.integer({ min: 1, max: 140 }),
  groups: fc.constantFrom(1, 1, 2),
  kernelSize: fc.constantFrom<[number, number]>([1, 1], [3, 3], [1, 3], [2, 2]),
  strides: fc.constantFrom<[number, number]>([1, 1], [2, 2], [1, 2]),
  pad: fc.constantFrom('same' as const, 'valid' as const, 2),
  bits: fc.constantFrom(2, 3, 4, 8),
  activationBits: fc.constantFrom(4, 8),
  scales: fc.constantFrom('float16' as const, 'float32' as const),
  kds: fc.boolean(),
  data: fc.constantFrom('extremes' as const, 'integers' as const, 'random' as const),
  blocks: fc.integer({ min: 1, max: 3 }),
  seed: fc.integer({ min: 0, max: 1e6 }),
  parts: fc.constantFrom(1, 1, 2, 3),
});

const epilogues = fc.record({
  bias: fc.boolean(),
  residual: fc.boolean(),
  residualImage: fc.boolean(),
  readsImage: fc.boolean(),
  writes: fc.constantFrom('float' as const, 'image' as const, 'both' as const),
  activation: fc.constantFrom('linear' as const, 'relu' as const, 'silu' as const, 'prelu' as const),
  outBits: fc.constantFrom(3, 8),
  outBlock: fc.constantFrom(16, 32, 64, 100, 128),
  outChannels: fc.integer({ min: 1, max: 150 }),
  data: fc.constantFrom('rounding' as const, 'random' as const, 'nan' as const, 'infinity' as const),
  seed: fc.integer({ min: 0, max: 1e6 }),
});

describe.each(WGMMA_TILES)('$kernel', (tile) => {
  const blockSize = 32 * tile.block;

  it('is right wherever it serves', () => {
    fc.assert(
      fc.property(shapes, ({ size, groups, outputs, blocks, kds, parts, ...rest }) => {
        const channels = blocks * blockSize - (rest.seed % 7);
        const c = convolution('random shape', {
          ...rest,
          ...{ groups, blockSize, outChannels: outputs * groups },
          inputShape: [...size, channels * groups],
          shifters: { kds, kdsBias: false, cds: !kds, cdsBias: false },
        });
        expect(runCall(cuda(), judged(c), { choose: forcedTile(tile, parts) })).toBeNull();
      }),
      { numRuns: 6 },
    );
  });

  it('reads and writes what plans ask for', () => {
    fc.assert(
      fc.property(epilogues, fc.constantFrom(1, 2), ({ outBits, outBlock, ...e }, parts) => {
        const c = convolution('epilogue', {
          ...{ inputShape: [1, 4, 5, 256], kernelSize: [1, 1], blockSize },
          ...e,
          outputFormat: { bits: outBits, blockSize: outBlock, groups: 1 },
        });
        expect(runCall(cuda(), judged(c), { ...e, choose: forcedTile(tile, parts) })).toBeNull();
      }),
      { numRuns: 4 },
    );
  });

  it('adds exactly in the order of NUMERICS at the largest products', () => {
    const c = convolution('largest products', {
      ...{ inputShape: [1, 4, 4, 256], kernelSize: [1, 1], outChannels: 20, bits: 8, blockSize },
      data: 'extremes',
    });
    const call = { ...c, tier: 'exact' as const, level: 'core' as const };
    expect(runCall(cuda(), call, { choose: forcedTile(tile, 1) })).toBeNull();
  });
});

describe('conformance', () => {
  const tilesOf = ({ inputShape, groups, blockSize, kernelSize: [height, width] }: OperatorCase) =>
    WGMMA_TILES.filter((tile) =>
      servesBlocks(tile, chunksOf(height * width, inputShape[3] / groups, blockSize)),
    );
  const cases = [...exactCases, ...boundedCases].filter(
    (c) =>
      c.kernel === DSCONV2D &&
      c.activationBits !== null &&
      c.inputShape[3] / c.groups >= LEAST_FRAGMENT_DEPTH &&
      !c.shifters.kdsBias &&
      !c.shifters.cdsBias &&
      tilesOf(c).length > 0,
  );

  it('has cases of its blocks', () => expect(cases.length).toBeGreaterThan(15));

  it.each(cases)('$name', (c) => {
    for (const tile of tilesOf(c)) expect(runCall(cuda(), c, { choose: forcedTile(tile, 1) })).toBeNull();
  });
});

it('measures the rate of its products', async () => {
  const backend = cuda();
  const launches = peakLaunches(backend, { from: 0, to: backend.allocate(4), bytes: 0 }, 3);
  const { amount, launch } = launches.find(({ what }) => what === 'wgmmaProducts')!;
  expect(amount / backend.device.info.multiprocessors).toBe(8 * 2 * 3 * 8 * 64 * 64 * 32);
  expect((await backend.time(launch)).kernelMs).toBeGreaterThan(0);
});

describe('the choice', () => {
  /** The kernel that a layer of a network gets. */
  const chosen = (blockSize: number, outChannels: number, more: Partial<TileFilter> = {}): string => {
    const geometry = resolveGeometry({
      inputShape: [32, 28, 28, 256],
      kernelSize: [3, 3],
      outChannels,
      strides: 1,
      pad: 'same',
    });
    const filter = { bits: 4, halfScales: true, shifted: false, converts: false, ...more } as const;
    const device = { multiprocessors: 132, sharedMemoryPerBlock: 227 * 1024, wgmma: cuda().device.wgmma };
    return chooseTile(geometry, blockSize, filter, device).tile.kernel;
  };

  it('is wgmma where it serves, and another tile for other blocks, shifters and sums', () => {
    expect(cuda().device.wgmma).toBe(true);
    expect(chosen(64, 256)).toBe('dsconv2d_wgmma_128x128_b64');
    expect(chosen(128, 256)).toBe('dsconv2d_wgmma_128x128_b128');
    expect(chosen(128, 64)).toBe('dsconv2d_wgmma_128x64_b128');
    for (const blockSize of [32, 48, 256]) expect(chosen(blockSize, 256)).not.toMatch(/wgmma/);
    expect(chosen(64, 256, { shifted: true })).toBe('dsconv2d_shifted');
    expect(chosen(64, 256, { converts: true })).toBe('dsconv2d_converting');
  });

  it('is what calls get: a large one, and the same on an image of it', () => {
    const c = convolution('large', {
      ...{ inputShape: [1, 20, 20, 128], kernelSize: [1, 1], outChannels: 128, blockSize: 128 },
      data: 'integers',
    });
    let kernel = '';
    const choose = (call: ConvolutionCall): KernelChoice => {
      const device = { ...targetOf(cuda()).device, multiprocessors: 1 };
      const choice = chooseKernel({ tier: 'mma', device }, call);
      kernel = choice.kind === 'mma' ? choice.tile.kernel : choice.kernel;
      return choice;
    };
    for (const readsImage of [false, true]) {
      expect(runCall(cuda(), judged(c), { choose, readsImage })).toBeNull();
      expect(kernel).toBe('dsconv2d_wgmma_128x128_b128');
    }
  });

  it('is not wgmma where it is switched off, and says so', async () => {
    const tierOf = async () => (await getDSConvBackend(BACKEND_NAME)!.tiers())[0];
    await withEnvironment({ DSCONV_CUDA_WGMMA: '0' }, () => testWgmma(cuda()));
    expect(cuda().device.wgmma).toBe(false);
    expect(chosen(64, 256)).not.toMatch(/wgmma/);
    const reason = 'wgmma is switched off by DSCONV_CUDA_WGMMA=0';
    expect(await tierOf()).toEqual({ tier: 'mma', available: true, reason });
  });

  it('is not wgmma where a known answer is wrong, or on other devices, and is again where all is right', async () => {
    const backend = cuda();
    const { launch } = backend;
    const { info } = backend.device;
    const last = WGMMA_TILES.at(-1)!.kernel;
    try {
      backend.launch = (call: Launch) => {
        if (call.kernel !== last) launch.call(backend, call);
      };
      await testWgmma(backend);
      expect(backend.device.wgmma).toBe(false);
      expect(backend.disabled.get(WGMMA)).toMatch(
        /^wgmma is not used: kernel 'dsconv2d_wgmma_128x64_b128' computes \S+ for output 0/,
      );
      backend.launch = () => expect.fail('nothing is launched');
      Object.assign(backend.device, { info: { ...info, computeCapability: [10, 0] } });
      await testWgmma(backend);
      expect([backend.device.wgmma, backend.disabled.size]).toEqual([false, 0]);
    } finally {
      Object.assign(backend, { launch });
      Object.assign(backend.device, { info });
    }
    await testWgmma(backend);
    expect(backend.device.wgmma).toBe(true);
  });

  it('is given up with a device that is lost to it: the device is opened anew, without', async () => {
    const before = cuda();
    const { launch } = CudaBackend.prototype;
    try {
      CudaBackend.prototype.launch = function (this: CudaBackend, call: Launch) {
        if (call.kernel.includes('wgmma')) this.device.lost = 'an illegal instruction';
        launch.call(this, call);
      };
      await useCuda();
    } finally {
      CudaBackend.prototype.launch = launch;
    }
    expect(cuda()).not.toBe(before);
    expect([cuda().usable, cuda().tier, cuda().device.wgmma]).toEqual([true, 'mma', false]);
    expect(cuda().disabled.get(WGMMA)).toMatch(/^wgmma is not used: .* is lost \(an illegal instruction\)/);
    expect(chosen(64, 256)).not.toMatch(/wgmma/);
  });
});
