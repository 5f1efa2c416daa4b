import { readFileSync } from 'node:fs';
import type { RawImage } from '../../src/index.js';

/** One picture that Pillow resized. */
export interface GoldenCase {
  width: number;
  height: number;
  size: number;
  cropRatio: number;
  mode: 'shorterSide' | 'exact';
  interpolation: 'bilinear' | 'bicubic';
  /** Bytes `[size, size, 3]`, base64. */
  pixels: string;
}

/** What make_resize_golden.py wrote. */
export const { cases: goldenCases }: { cases: GoldenCase[] } = JSON.parse(
  readFileSync(new URL('./resize.json', import.meta.url), 'utf8'),
);

/** The picture of make_resize_golden.py, from integers only. */
export function goldenInput(width: number, height: number): RawImage {
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
