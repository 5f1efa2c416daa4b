/**
 * The resize against Pillow's for pictures of any size. Pillow's integer arithmetic (Pillow 9, src/libImaging/Resample.c: 8-bit samples, weights of
 * 22 fractional bits, bytes between the two passes) is written down here from its source and held to the bit against pictures that Pillow made.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Preprocessing, preprocess, type RawImage } from '../src/index.js';
import { goldenCases, goldenInput } from './golden/golden-input.js';

type Interpolation = Preprocessing['interpolation'];

/** What golden/make_resize_golden.py writes. */
const PRECISION = 22;

const FILTERS = {
  bilinear: { support: 1, weight: (x: number) => (Math.abs(x) < 1 ? 1 - Math.abs(x) : 0) },
  bicubic: {
    support: 2,
    weight: (signed: number) => {
      const [a, x] = [-0.5, Math.abs(signed)];
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
} as const;

/** `precompute_coeffs` and `normalize_coeffs_8bpc`: first input and integer weights of every output. */
function coefficients(input: number, output: number, interpolation: Interpolation) {
  const filter = FILTERS[interpolation];
  const scale = input / output;
  const widening = Math.max(scale, 1);
  const support = filter.support * widening;
  return Array.from({ length: output }, (_, n) => {
    const centre = (n + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(input, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) =>
      filter.weight((k + first - centre + 0.5) / widening),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return {
      first,
      weights: weights.map((weight) => {
        const scaled = (weight / sum) * 2 ** PRECISION;
        return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      }),
    };
  });
}

const clip8 = (sum: number): number => Math.min(255, Math.max(0, Math.floor(sum / 2 ** PRECISION)));

function pillowResize(
  image: RawImage,
  width: number,
  height: number,
  interpolation: Interpolation,
): RawImage {
  const { channels } = image;
  // Pillow leaves a pass out that would change nothing.
  let { data } = image;
  if (width !== image.width) {
    const columns = coefficients(image.width, width, interpolation);
    const narrow = new Uint8Array(image.height * width * channels);
    for (let y = 0, at = 0; y < image.height; y++) {
      for (const { first, weights } of columns) {
        for (let c = 0; c < channels; c++, at++) {
          let sum = 2 ** (PRECISION - 1);
          weights.forEach((weight, k) => {
            sum += weight * data[(y * image.width + first + k) * channels + c]!;
          });
          narrow[at] = clip8(sum);
        }
      }
    }
    data = narrow;
  }
  if (height !== image.height) {
    const stride = width * channels;
    const out = new Uint8Array(height * stride);
    coefficients(image.height, height, interpolation).forEach(({ first, weights }, y) => {
      for (let n = 0; n < stride; n++) {
        let sum = 2 ** (PRECISION - 1);
        weights.forEach((weight, k) => {
          sum += weight * data[(first + k) * stride + n]!;
        });
        out[y * stride + n] = clip8(sum);
      }
    });
    data = out;
  }
  return { data, width, height, channels };
}

/** torchvision's `Resize`, then `CenterCrop`; or timm's for a picture that is stretched. */
function pillowTransform(image: RawImage, { size, resize, interpolation }: Preprocessing): Uint8Array {
  const side = Math.floor(size / resize.cropRatio);
  const { width, height, channels } = image;
  let [scaledWidth, scaledHeight] = [side, side];
  if (resize.mode === 'shorterSide') {
    if (width <= height) scaledHeight = Math.trunc((side * height) / width);
    else scaledWidth = Math.trunc((side * width) / height);
  }
  const scaled = pillowResize(image, scaledWidth, scaledHeight, interpolation);
  const pythonRound = (v: number): number => (v % 1 === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));
  const [left, top] = [pythonRound((scaledWidth - size) / 2), pythonRound((scaledHeight - size) / 2)];
  const out = new Uint8Array(size * size * channels);
  for (let y = 0; y < size; y++) {
    const from = ((top + y) * scaledWidth + left) * channels;
    out.set(scaled.data.subarray(from, from + size * channels), y * size * channels);
  }
  return out;
}

const specOf = (
  size: number,
  mode: 'shorterSide' | 'exact',
  cropRatio: number,
  interpolation: Interpolation,
): Preprocessing => ({
  size,
  channels: 3,
  resize: { mode, cropRatio },
  interpolation,
  antialias: true,
  range: [0, 255],
  mean: [0, 0, 0],
  std: [1, 1, 1],
});

/** Mean and largest difference, in steps of 1/255. */
function difference(image: RawImage, spec: Preprocessing): { mean: number; most: number } {
  const expected = pillowTransform(image, spec);
  const found = preprocess(image, spec);
  const errors = Array.from(found, (value, n) => Math.abs(value - expected[n]!));
  return {
    mean: errors.reduce((a, b) => a + b, 0) / errors.length,
    most: errors.reduce((a, b) => Math.max(a, b), 0),
  };
}

describe('Pillow, written down', () => {
  it.each(goldenCases)(
    'is Pillow to the bit: $width×$height to $size, $interpolation, $mode, crop $cropRatio',
    ({ width, height, size, cropRatio, mode, interpolation, pixels }) => {
      const spec = specOf(size, mode, cropRatio, interpolation);
      expect(Buffer.from(pillowTransform(goldenInput(width, height), spec))).toEqual(
        Buffer.from(pixels, 'base64'),
      );
    },
  );
});

describe("the resize is within 1/255 of Pillow's on average", () => {
  const sizes = fc.record({
    width: fc.integer({ min: 3, max: 160 }),
    height: fc.integer({ min: 3, max: 160 }),
    size: fc.integer({ min: 4, max: 64 }),
    mode: fc.constantFrom('shorterSide' as const, 'exact' as const),
    cropRatio: fc.constantFrom(1, 0.95, 0.875),
    seed: fc.integer({ min: 1, max: 1e6 }),
  });

  it.each(['bilinear', 'bicubic'] as const)('%s, whatever the sizes, on noise', (interpolation) => {
    fc.assert(
      fc.property(sizes, ({ width, height, size, mode, cropRatio, seed }) => {
        const data = Uint8Array.from({ length: width * height * 3 }, (_, n) => (n * n * seed + n) % 256);
        const image: RawImage = { data, width, height, channels: 3 };
        const { mean, most } = difference(image, specOf(size, mode, cropRatio, interpolation));
        // Pillow rounds to bytes after either direction. Where a picture is doubled, values lie at quarters, and every rounding is one of a half.
        expect(mean).toBeLessThan(1);
        expect(most).toBeLessThan(2);
      }),
      {
        numRuns: 60,
        examples: [[{ width: 73, height: 10, size: 20, mode: 'shorterSide', cropRatio: 1, seed: 1 }]],
      },
    );
  });

  it.each([
    ['bilinear', 500, 375, 224, 0.875],
    ['bicubic', 500, 375, 224, 0.875],
    ['bicubic', 333, 1000, 288, 1],
    ['bilinear', 150, 100, 224, 0.875],
  ] as const)('%s, a picture of %i×%i to %i, crop %d', (interpolation, width, height, size, cropRatio) => {
    const { mean, most } = difference(
      goldenInput(width, height),
      specOf(size, 'shorterSide', cropRatio, interpolation),
    );
    expect(mean).toBeLessThan(0.5);
    expect(most).toBeLessThan(2);
  });
});
