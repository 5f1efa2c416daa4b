/** The resize against pictures that Pillow made (golden/make_resize_golden.py). */
import { describe, expect, it } from 'vitest';
import { type Preprocessing, preprocess } from '../src/index.js';
import { goldenCases, goldenInput } from './golden/golden-input.js';

describe("Pillow's resize", () => {
  it.each(goldenCases)(
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
      const found = preprocess(goldenInput(width, height), spec);
      expect(found).toHaveLength(expected.length);
      const errors = Array.from(found, (value, n) => Math.abs(value - expected[n]!));
      // Pillow rounds to bytes twice, which is half a step each time at most and a quarter on average; a cubic kernel magnifies the first.
      expect(errors.reduce((a, b) => a + b) / errors.length).toBeLessThan(0.4);
      expect(Math.max(...errors)).toBeLessThan(1.3);
    },
  );
});
