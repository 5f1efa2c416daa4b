/** The resize against pictures that Pillow made (golden/make_resize_golden.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Preprocessing, preprocess, type RawImage } from '../src/index.js';

interface GoldenCase {
  width: number;
  height: number;
  size: number;
  cropRatio: number;
  mode: 'shorterSide' | 'exact';
  interpolation: 'bilinear' | 'bicubic';
  /** Bytes `[size, size, 3]`, base64. */
  pixels: string;
}

const { cases }: { cases: GoldenCase[] } = JSON.parse(
  readFileSync(new URL('./golden/resize.json', import.meta.url), 'utf8'),
);

/** The same picture as the script's, from integers only. */
function picture(width: number, height: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, at++) {
        const edge = (Math.floor(x / 7) + Math.floor(y / 5)) % 3 === 0 ? 255 : 0;
        const smooth = (x * x * 3 + y * 11 * (c + 1) + x * y) % 256;
        data[at] = (x + y) % 4 === 0 ? edge : Math.floor((edge + smooth) / 2);
      }
    }
  }
  return { data, width, height, channels: 3 };
}

describe("Pillow's resize", () => {
  it.each(cases)(
    '$width×$height to $size, $interpolation, $mode, crop $cropRatio',
    ({ width, height, size, cropRatio, mode, interpolation, pixels }) => {
      const spec: Preprocessing = {
        size,
        channels: 3,
        resize: { mode, cropRatio },
        interpolation,
        antialias: true,
        range: [0, 255],
        mean: [0, 0, 0],
        std: [1, 1, 1],
      };
      const expected = Buffer.from(pixels, 'base64');
      const found = preprocess(picture(width, height), spec);
      expect(found).toHaveLength(expected.length);
      const errors = Array.from(found, (value, n) => Math.abs(value - expected[n]!));
      // Pillow rounds to bytes twice, which is half a step each time at most and a quarter on average; a cubic kernel magnifies the first.
      expect(errors.reduce((a, b) => a + b) / errors.length).toBeLessThan(0.4);
      expect(Math.max(...errors)).toBeLessThan(1.3);
    },
  );
});
