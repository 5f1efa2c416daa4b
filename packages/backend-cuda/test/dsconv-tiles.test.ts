/** Every kernel that could serve a convolution, not only the one that is chosen, on shapes of all kinds. */
import '../src/index.js';
import { convolution, type NumericCase, type OperatorCase } from '@dsconv/conformance';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONVERTING,
  chooseTile,
  SHIFTED,
  servesBlocks,
  sharedBytes,
  TILES,
  type TileChoice,
} from '../src/dsconv/tiles.js';
import { chunksOf } from '../src/layout/pack-filter.js';
import { cuda, onCuda } from './support/cuda.js';
import { forcedTile, isExact, runCall } from './support/dsconv-calls.js';

onCuda();

const MOST_PRODUCTS = 3e6;

/** Convolutions that go past the edges of tiles, steps and blocks. */
const shapes = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    height: fc.integer({ min: 5, max: 11 }),
    width: fc.integer({ min: 5, max: 13 }),
    groupChannels: fc.integer({ min: 16, max: 140 }),
    outputs: fc.integer({ min: 1, max: 140 }),
    groups: fc.constantFrom(1, 1, 1, 2, 3),
    kernelSize: fc.constantFrom<[number, number]>([1, 1], [3, 3], [1, 3], [2, 2]),
    strides: fc.constantFrom<[number, number]>([1, 1], [2, 2], [1, 2]),
    dilations: fc.constantFrom<[number, number]>([1, 1], [1, 1], [2, 1]),
    pad: fc.constantFrom('same' as const, 'valid' as const, 2, [
      [0, 3],
      [1, 0],
    ] as [[number, number], [number, number]]),
    bits: fc.constantFrom(2, 3, 4, 8),
    activationBits: fc.constantFrom(4, 8),
    scales: fc.constantFrom('float16' as const, 'float32' as const),
    kds: fc.boolean(),
    data: fc.constantFrom('extremes' as const, 'integers' as const, 'random' as const),
    seed: fc.integer({ min: 0, max: 1e6 }),
    parts: fc.constantFrom(1, 1, 2, 3),
  })
  .filter(
    (s) =>
      s.batch * s.height * s.width * s.groupChannels * s.outputs * s.kernelSize[0] * s.kernelSize[1] <=
      MOST_PRODUCTS,
  );
type Shape = typeof shapes extends fc.Arbitrary<infer S> ? S : never;

function caseOf(
  s: Shape,
  channels: number,
  blockSize: number,
  more: Partial<OperatorCase> = {},
): NumericCase {
  const { kernelSize, strides, dilations, pad, bits, activationBits, scales, seed, groups } = s;
  const c = convolution('random shape', {
    inputShape: [s.batch, s.height, s.width, channels * groups],
    outChannels: s.outputs * groups,
    ...{ kernelSize, strides, dilations, pad, bits, activationBits, scales, seed, groups, blockSize },
    shifters: { kds: s.kds, kdsBias: false, cds: !s.kds, cdsBias: false },
    data: s.data,
    ...more,
  });
  return { ...c, tier: isExact(c) ? 'exact' : 'bounded', level: 'core' };
}

describe.each(TILES)('$kernel', (tile) => {
  it('is right wherever it serves', () => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(16, 20, 32, 48, 64, 96, 100, 128), (s, anyBlock) => {
        const blockSize = tile.block === 0 ? anyBlock : tile.block * 32;
        // Blocks of known chunks fill them, the last one too.
        const channels =
          tile.block === 0
            ? s.groupChannels
            : Math.ceil(s.groupChannels / blockSize) * blockSize - (s.seed % 7);
        expect(
          runCall(cuda(), caseOf(s, channels, blockSize), { choose: forcedTile(tile, s.parts) }),
        ).toBeNull();
      }),
      { numRuns: 6 },
    );
  });

  it('adds exactly in the order of NUMERICS at the largest products', () => {
    const blockSize = tile.block === 0 ? 256 : tile.block * 32;
    const c = convolution('largest products', {
      inputShape: [1, 4, 4, 256],
      kernelSize: [1, 1],
      outChannels: 20,
      bits: 8,
      blockSize,
      data: 'extremes',
    });
    const call = { ...c, tier: 'exact' as const, level: 'core' as const };
    expect(runCall(cuda(), call, { choose: forcedTile(tile, 1) })).toBeNull();
    expect(runCall(cuda(), call, { choose: forcedTile(tile, 1), readsImage: true })).toBeNull();
  });
});

it('converts where sums are too large to be read as float32', () => {
  for (const [bits, blockSize, channels, taps] of [
    [8, 1024, 1024, 1],
    [8, 300, 700, 1],
    [4, 1024, 1040, 2],
    [2, 512, 600, 2],
  ] as const) {
    for (const data of ['extremes', 'random'] as const) {
      const c = convolution('large blocks', {
        inputShape: [1, 3, 3, channels],
        kernelSize: [1, taps],
        outChannels: 70,
        ...{ bits, blockSize, data },
      });
      const judged = {
        ...c,
        tier: isExact(c) ? ('exact' as const) : ('bounded' as const),
        level: 'core' as const,
      };
      expect(runCall(cuda(), judged, { choose: forcedTile(CONVERTING, 1) })).toBeNull();
      expect(runCall(cuda(), judged, { choose: forcedTile(CONVERTING, 2) })).toBeNull();
    }
  }
});

it('adds the shifters of filters', () => {
  fc.assert(
    fc.property(shapes, fc.constantFrom(16, 32, 48, 64, 300), fc.boolean(), (s, blockSize, onlyChannel) => {
      const shifters = onlyChannel
        ? { kds: false, kdsBias: false, cds: true, cdsBias: true }
        : { kds: true, kdsBias: true, cds: s.kds, cdsBias: s.kds };
      const c = caseOf(s, s.groupChannels, blockSize, { shifters });
      expect(runCall(cuda(), c, { choose: forcedTile(SHIFTED, s.parts) })).toBeNull();
    }),
    { numRuns: 10 },
  );
});

describe('chooseTile', () => {
  const geometry = (size: number, inChannels: number, outChannels: number, batch = 1) => ({
    ...{ batch, inHeight: size, inWidth: size, inChannels, outHeight: size, outWidth: size, outChannels },
    ...{
      kernelHeight: 3,
      kernelWidth: 3,
      strideHeight: 1,
      strideWidth: 1,
      dilationHeight: 1,
      dilationWidth: 1,
    },
    ...{ padTop: 1, padBottom: 1, padLeft: 1, padRight: 1, groups: 1 },
  });
  const filter = { bits: 4 as const, halfScales: true, shifted: false, converts: false };
  const device = { multiprocessors: 108, sharedMemoryPerBlock: 163 * 1024 };
  const choose = (g: ReturnType<typeof geometry>, block = 64, shared = 163 * 1024): TileChoice =>
    chooseTile(g, block, filter, { ...device, sharedMemoryPerBlock: shared });

  it('takes large tiles for large products and cuts the depth of small ones', () => {
    expect(choose(geometry(56, 256, 256, 32)).tile.kernel).toBe('dsconv2d_128x128_b64');
    expect(choose(geometry(56, 256, 256, 32)).splits).toBe(1);
    const small = choose(geometry(7, 512, 512));
    expect(small.splits).toBeGreaterThan(1);
    expect(small.splits * small.splitChunks).toBeGreaterThanOrEqual(9 * 16);
  });

  it('keeps to the shared memory of the device and to blocks that the tile serves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 16, max: 600 }),
        fc.integer({ min: 1, max: 600 }),
        fc.constantFrom(16, 32, 64, 100, 128, 256),
        fc.constantFrom(48, 64, 99, 227),
        (size, inChannels, outChannels, block, kilobytes) => {
          const { tile, splits, splitChunks } = choose(
            geometry(size, inChannels, outChannels),
            block,
            kilobytes * 1024,
          );
          expect(sharedBytes(tile, filter)).toBeLessThanOrEqual(kilobytes * 1024);
          const chunks = chunksOf(9, inChannels, block);
          expect(servesBlocks(tile, chunks)).toBe(true);
          expect(splitChunks % 2).toBe(0);
          const total = 9 * chunks.group;
          expect(splits).toBe(Math.ceil(total / splitChunks));
          // Parts end where blocks end.
          for (let end = splitChunks; end < total; end += splitChunks) {
            expect((end % chunks.group) % chunks.block).toBe(0);
          }
        },
      ),
    );
  });
});
