/** Changes of pictures: every pixel comes from where it should. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchesOf, type PictureSource } from '../src/index.js';
import { type Augmentation, augment, augmentedShape, checkAugmentation } from '../src/training/augment.js';
import { floats } from './support.js';

const draw = (numbers: readonly number[]) => {
  let n = 0;
  return () => numbers[n++ % numbers.length]!;
};

test('a whole picture at its own size stays as it is, and a mirrored one is mirrored', () => {
  const shape = [5, 5, 2] as const;
  const picture = floats(50, 3, 1);
  const run = (numbers: readonly number[], options: Augmentation) => {
    const to = new Float32Array(50);
    augment(picture, shape, to, options, draw(numbers));
    return to;
  };
  expect(run([0.3], { zoom: 1 })).toEqual(picture);
  const mirrored = run([0.3], { zoom: 1, mirror: true });
  for (let row = 0; row < 5; row++) {
    for (let column = 0; column < 5; column++) {
      for (let c = 0; c < 2; c++) {
        expect(mirrored[(row * 5 + column) * 2 + c]).toBe(picture[(row * 5 + 4 - column) * 2 + c]);
      }
    }
  }
});

test('a picture that is a plane stays one: samples lie where they should', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 20 }),
      fc.integer({ min: 4, max: 20 }),
      fc.integer({ min: 1, max: 24 }),
      fc.double({ min: 0.3, max: 1, noNaN: true }),
      fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 4, maxLength: 4 }),
      (height, width, size, zoom, numbers) => {
        const shape = [height, width, 1] as const;
        const plane = Float32Array.from(
          { length: height * width },
          (_, n) => Math.floor(n / width) + 100 * (n % width),
        );
        const to = new Float32Array(size * size);
        augment(plane, shape, to, { zoom, size }, draw(numbers));
        const side = Math.min(height, width) * (zoom + (1 - zoom) * numbers[0]!);
        const within = (at: number, length: number) => Math.min(length - 1, Math.max(0, at));
        to.forEach((value, n) => {
          const row = (height - side) * numbers[1]! + ((Math.floor(n / size) + 0.5) * side) / size - 0.5;
          const column = (width - side) * numbers[2]! + (((n % size) + 0.5) * side) / size - 0.5;
          const wanted = within(row, height) + 100 * within(column, width);
          expect(Math.abs(value - wanted)).toBeLessThanOrEqual(1e-5 * (1 + wanted));
        });
      },
    ),
    { numRuns: 200 },
  );
});

test('shapes follow the options', () => {
  expect(augmentedShape([6, 8, 3], {})).toEqual([6, 8, 3]);
  expect(augmentedShape([6, 8, 3], { zoom: 0.5 })).toEqual([6, 6, 3]);
  expect(augmentedShape([6, 8, 3], { size: 4 })).toEqual([4, 4, 3]);
});

test('mixed pictures are a box of one in another, and the same for the same seed', async () => {
  const source: PictureSource = { count: 9, shape: [8, 8, 3], read: (n, to) => void to.fill(n + 1) };
  const batches = async (seed: number) => {
    const found = [];
    for await (const { x } of batchesOf(source, 3, { seed, epoch: 0 }, { mix: 1 })) found.push(x);
    return found;
  };
  const [first, again, another] = [await batches(1), await batches(1), await batches(2)];
  expect(again).toEqual(first);
  expect(another).not.toEqual(first);
  let mixed = 0;
  for (const x of first) {
    for (let k = 0; k < 3; k++) {
      const picture = Array.from({ length: 64 }, (_, n) => x[(k * 64 + n) * 3]!);
      const kinds = [...new Set(picture)];
      expect(kinds.length).toBeLessThanOrEqual(2);
      expect(kinds.every((value) => Number.isInteger(value) && value >= 1 && value <= 9)).toBe(true);
      if (kinds.length < 2) continue;
      mixed++;
      const isBox = kinds.some((kind) => {
        const places = picture.flatMap((value, n) => (value === kind ? [n] : []));
        const extent = (values: number[]) => Math.max(...values) - Math.min(...values) + 1;
        return extent(places.map((n) => n >> 3)) * extent(places.map((n) => n % 8)) === places.length;
      });
      expect(isBox).toBe(true);
    }
  }
  expect(mixed).toBeGreaterThan(3);
});

test.each([
  [{ zoom: 0 }, /augmentation\.zoom is 0; expected a number above 0, up to 1/],
  [{ mix: 2 }, /augmentation\.mix is 2/],
  [{ size: 1.5 }, /augmentation\.size is 1\.5/],
  [{ shift: -1 }, /augmentation\.shift is -1/],
])('%j is refused', (options, message) => {
  expect(() => checkAugmentation(options)).toThrow(message);
});
