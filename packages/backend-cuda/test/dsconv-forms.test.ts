/** DSConv as plans call it: images in and out, residuals in images, results rounded in the epilogue or after it, first layers and depthwise convolutions. */
import '../src/index.js';
import { convolution, type NumericCase, type OperatorCase } from '@dsconv/conformance';
import { DS_DEPTHWISE_CONV2D, quantizeBfp } from '@dsconv/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConvolutionCall } from '../src/dsconv/convolution.js';
import { chooseKernel, type KernelChoice } from '../src/dsconv/kernel-choice.js';
import { launchQuantize, launchRound, launchRoundGradient } from '../src/dsconv/round.js';
import { supports } from '../src/dsconv/supports.js';
import { TILES } from '../src/dsconv/tiles.js';
import { imageLayout } from '../src/layout/image.js';
import { cuda, onCuda } from './support/cuda.js';
import { decodeImage, forcedTile, isExact, runCall } from './support/dsconv-calls.js';

onCuda();

const judged = (c: OperatorCase): NumericCase => ({
  ...c,
  tier: isExact(c) ? 'exact' : 'bounded',
  level: 'core',
});

const plain = (kernel: string) => (): KernelChoice => ({ kind: 'plain', kernel });

const epilogues = fc.record({
  bias: fc.boolean(),
  residual: fc.boolean(),
  residualImage: fc.boolean(),
  readsImage: fc.boolean(),
  writes: fc.constantFrom('float' as const, 'image' as const, 'both' as const),
  activation: fc.constantFrom('linear', 'relu', 'relu6', 'silu', 'leakyrelu', 'prelu') as fc.Arbitrary<
    OperatorCase['activation']
  >,
  outBits: fc.constantFrom(3, 8),
  outBlock: fc.constantFrom(4, 16, 24, 32, 64, 100, 128, 1000),
  outputs: fc.integer({ min: 1, max: 150 }),
  data: fc.constantFrom('rounding', 'random', 'nan', 'infinity', 'sparse', 'tiny') as fc.Arbitrary<
    OperatorCase['data']
  >,
  seed: fc.integer({ min: 0, max: 1e6 }),
});
type Epilogue = typeof epilogues extends fc.Arbitrary<infer E> ? E : never;

function withEpilogue(e: Epilogue, shape: Partial<OperatorCase>): NumericCase {
  const { bias, residual, activation, outBits, outBlock, outputs, data, seed } = e;
  const outChannels = shape.outChannels ?? outputs;
  const fit = { bits: outBits, blockSize: outBlock, groups: 1 };
  const outputFormat = e.writes === 'float' && seed % 2 === 0 ? null : fit;
  return judged(
    convolution('epilogue', { ...shape, bias, residual, activation, outChannels, outputFormat, data, seed }),
  );
}

describe.each(TILES)('$kernel', (tile) => {
  it('reads and writes what plans ask for', () => {
    fc.assert(
      fc.property(epilogues, fc.constantFrom(1, 2), (e, parts) => {
        const c = withEpilogue(e, {
          inputShape: [1, 4, 5, 128],
          kernelSize: [1, 1],
          blockSize: tile.block === 0 ? 48 : 32 * tile.block,
        });
        expect(runCall(cuda(), c, { ...e, choose: forcedTile(tile, parts) })).toBeNull();
      }),
      { numRuns: 5 },
    );
  });
});

const windows = {
  height: fc.integer({ min: 5, max: 13 }),
  width: fc.integer({ min: 5, max: 18 }),
  kernelSize: fc.constantFrom<[number, number]>([3, 3], [3, 3], [5, 5], [1, 1], [2, 3], [7, 7]),
  strides: fc.constantFrom<[number, number]>([1, 1], [2, 2], [1, 2], [3, 1]),
  dilations: fc.constantFrom<[number, number]>([1, 1], [1, 1], [1, 2], [2, 1]),
  pad: fc.constantFrom('same' as const, 3, [
    [0, 2],
    [9, 1],
  ] as [[number, number], [number, number]]),
  batch: fc.integer({ min: 1, max: 2 }),
  activationBits: fc.constantFrom(3, 8),
  bits: fc.constantFrom(2, 4, 8),
};

interface Window {
  height: number;
  width: number;
  kernelSize: [number, number];
  dilations: [number, number];
  pad: 'same' | number | [[number, number], [number, number]];
}

it('computes first layers', () => {
  const shapes = fc.record({ ...windows, channels: fc.integer({ min: 1, max: 15 }), kds: fc.boolean() });
  fc.assert(
    fc.property(shapes, epilogues, fc.constantFrom(2, 3, 64), (s, e, blockSize) => {
      const { height, width, batch, channels, kds, ...rest } = s;
      fc.pre(fits(s));
      const c = withEpilogue(e, {
        ...rest,
        blockSize,
        inputShape: [batch, height, width, channels],
        shifters: { kds, kdsBias: false, cds: !kds, cdsBias: false },
      });
      let kernel = '';
      const choose = (call: ConvolutionCall): KernelChoice => {
        const choice = chooseKernel({ tier: 'mma', device: cuda().device.info }, call);
        kernel = choice.kind === 'mma' ? '' : choice.kernel;
        return choice;
      };
      expect(runCall(cuda(), c, { ...e, choose })).toBeNull();
      expect(kernel).toMatch(/^dsconv2d_direct_/);
    }),
    { numRuns: 25 },
  );
});

it('computes depthwise convolutions', () => {
  const shapes = fc.record({ ...windows, channels: fc.integer({ min: 1, max: 140 }) });
  fc.assert(
    fc.property(shapes, epilogues, fc.constantFrom(4, 6, 32, 64, 128, 1000), (s, e, blockSize) => {
      const { height, width, batch, channels, ...rest } = s;
      fc.pre(fits(s));
      const c = withEpilogue(e, {
        ...rest,
        blockSize,
        kernel: DS_DEPTHWISE_CONV2D,
        inputShape: [batch, height, width, channels],
        outChannels: channels,
        shifters: { kds: false, kdsBias: false, cds: true, cdsBias: false },
      });
      expect(runCall(cuda(), c, e)).toBeNull();
    }),
    { numRuns: 30 },
  );
});

/** The window lies within the padded input. */
function fits({ height, width, pad, dilations, kernelSize }: Window): boolean {
  return [height, width].every((size, axis) => {
    const padding = typeof pad === 'number' ? 2 * pad : pad === 'same' ? 99 : pad[axis]![0] + pad[axis]![1];
    return size + padding > dilations[axis]! * (kernelSize[axis]! - 1);
  });
}

it('computes everything with the plain kernels', () => {
  const shapes = fc.record({
    ...windows,
    channels: fc.integer({ min: 1, max: 40 }),
    groups: fc.constantFrom(1, 2),
  });
  fc.assert(
    fc.property(shapes, epilogues, fc.constantFrom(1, 5, 32, 1000), (s, e, blockSize) => {
      const { height, width, batch, channels, groups, ...rest } = s;
      fc.pre(fits(s));
      const outChannels = groups * Math.ceil(e.outputs / 4);
      const c = withEpilogue(e, {
        ...rest,
        ...{ blockSize, groups, outChannels },
        inputShape: [batch, height, width, groups * channels],
        shifters: { kds: true, kdsBias: e.bias, cds: e.residual, cdsBias: e.residual },
      });
      expect(runCall(cuda(), c, { ...e, choose: plain('dsconv2d_naive') })).toBeNull();
    }),
    { numRuns: 15 },
  );
});

describe('rounding', () => {
  const formats = fc.record({
    rows: fc.integer({ min: 1, max: 9 }),
    depth: fc.integer({ min: 1, max: 300 }),
    groups: fc.integer({ min: 1, max: 3 }),
    bits: fc.integer({ min: 2, max: 8 }),
    blockSize: fc.constantFrom(1, 3, 4, 8, 30, 32, 64, 100, 128, 160, 400),
    seed: fc.integer(),
  });
  /** Numbers of all sizes, from subnormal ones to infinity. */
  const numbers = (count: number, seed: number): Float32Array => {
    const words = new Uint32Array(count);
    let state = seed;
    for (let n = 0; n < count; n++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const exponent =
        state % 41 === 0 ? 255 : state % 7 === 0 ? (state >>> 9) % 255 : 120 + ((state >>> 5) % 9);
      words[n] = ((state & 0x807fffff) | (exponent << 23)) >>> 0;
    }
    return new Float32Array(words.buffer);
  };
  const read = (address: number, bytes: number): Uint8Array => {
    const out = new Uint8Array(bytes);
    const { device } = cuda();
    device.native.readSync(address, out, device.stream);
    return out;
  };

  it('makes images and rounds in place as core does', () => {
    fc.assert(
      fc.property(formats, ({ rows, depth, groups, bits, blockSize, seed }) => {
        const backend = cuda();
        const channels = depth * groups;
        const format = { bits, blockSize, groups };
        const x = numbers(rows * channels, seed);
        const { mantissa, scale, blocksPerGroup } = quantizeBfp(x, channels, format);
        const wanted = x.map((_, n) => {
          const [row, channel] = [Math.floor(n / channels), n % channels];
          const group = Math.floor(channel / depth);
          const block = Math.floor((channel % depth) / blockSize);
          return mantissa[n]! * scale[(row * groups + group) * blocksPerGroup + block]!;
        });
        const layout = imageLayout(rows, channels, format);
        const address = backend.uploaded(x);
        const image = backend.uploaded(new Uint8Array(layout.byteLength).fill(0xa5));
        launchQuantize(backend, layout, address, image);
        launchRound(backend, rows, channels, format, address, address);
        const bytes = read(image, layout.byteLength);
        bytes.fill(0, rows * layout.pixelBytes, layout.scalesAt);
        // Zeros have no sign in an image.
        const same = (values: Float32Array) =>
          expect(values.map((v) => v + 0)).toEqual(wanted.map((v) => v + 0));
        same(decodeImage(layout, bytes));
        same(new Float32Array(read(address, x.byteLength).buffer));
        backend.free(address);
        backend.free(image);
      }),
      { numRuns: 30 },
    );
  });

  it('lets gradients through where nothing is clamped', async () => {
    const { bfpGradient } = await import('@dsconv/core');
    fc.assert(
      fc.property(formats, ({ rows, depth, groups, bits, blockSize, seed }) => {
        const backend = cuda();
        const format = { bits, blockSize, groups };
        const x = numbers(rows * depth * groups, seed);
        const dy = x.map((_, n) => n + 1);
        const addresses = { x: backend.uploaded(x), dy: backend.uploaded(dy), dx: backend.uploaded(dy) };
        launchRoundGradient(backend, rows, depth * groups, format, addresses);
        expect(new Float32Array(read(addresses.dx, x.byteLength).buffer)).toEqual(
          bfpGradient(x, dy, depth * groups, format),
        );
        for (const address of Object.values(addresses)) backend.free(address);
      }),
      { numRuns: 25 },
    );
  });
});

describe('supports', () => {
  const geometry = {
    ...{ batch: 1, inHeight: 8, inWidth: 8, inChannels: 64, outHeight: 8, outWidth: 8, outChannels: 64 },
    ...{
      kernelHeight: 3,
      kernelWidth: 3,
      strideHeight: 1,
      strideWidth: 1,
      dilationHeight: 1,
      dilationWidth: 1,
    },
    ...{ padTop: 1, padBottom: 1, padLeft: 1, padRight: 1, groups: 1 },
  };
  const spec = {
    kernel: 'DSConv2D' as const,
    geometry,
    bits: 4,
    blockSize: 64,
    shifters: { kds: true, kdsBias: false, cds: false, cdsBias: false },
    activation: 'linear' as const,
    activationBits: 8,
    outputFormat: null,
    hasBias: true,
    hasResidual: false,
  };

  it('takes the usual and declines what counters cannot hold, with a reason', () => {
    expect(supports(spec)).toBe(true);
    const many = { ...geometry, batch: 2 ** 20, inHeight: 100, inWidth: 100 };
    expect(supports({ ...spec, geometry: many })).toEqual({
      reason: expect.stringMatching(/^it has \d+ input pixels; kernels count at most 2147483647$/),
    });
    const wide = { ...geometry, outChannels: 32 * 70_000 };
    expect(supports({ ...spec, geometry: wide })).toEqual({ reason: expect.stringContaining('70000 tiles') });
  });
});
