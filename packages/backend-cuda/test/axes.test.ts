import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type Axis,
  countingFields,
  mergeAxes,
  piecesOf,
  powerOfTwo,
  stridesOf,
} from '../src/kernels/axes.js';
import { lanesFor } from '../src/kernels/lanes.js';

/** The offsets of all operands, in the order of a walk. */
function walk(axes: readonly Axis[], start: readonly number[]): number[][] {
  const [outer, ...rest] = axes;
  if (!outer) return [[...start]];
  return Array.from({ length: outer.size }, (_, index) =>
    walk(
      rest,
      start.map((at, n) => at + index * outer.strides[n]!),
    ),
  ).flat();
}

const walks = fc.array(
  fc.record({
    size: fc.integer({ min: 1, max: 4 }),
    strides: fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: -3, max: 3 })),
  }),
  { minLength: 1, maxLength: 4 },
);

it('merging and cutting axes leaves the walk as it is', () => {
  fc.assert(
    fc.property(walks, fc.integer({ min: 1, max: 20 }), (axes, limit) => {
      const expected = walk(axes, [0, 0]);
      const merged = mergeAxes(axes);
      expect(walk(merged, [0, 0])).toEqual(expected);
      const pieces = piecesOf(merged, limit);
      expect(pieces.every(({ count }) => count <= limit)).toBe(true);
      expect(pieces.flatMap((piece) => walk(piece.axes, piece.offsets))).toEqual(expected);
    }),
  );
});

it('axes without gaps become one', () => {
  const shape = [2, 3, 1, 4];
  const strides = stridesOf(shape);
  expect(mergeAxes(shape.map((size, n) => ({ size, strides: [strides[n]!] })))).toEqual([
    { size: 24, strides: [1] },
  ]);
});

it('multiplications stand for divisions, up to the last number', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 2 ** 31 - 1 }));
  const n = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    fc.integer({ min: 2 ** 31 - 100, max: 2 ** 31 - 1 }),
  );
  fc.assert(
    fc.property(size, n, fc.integer({ min: -1, max: 1 }), (divisor, some, near) => {
      const { multiplier, shift } = countingFields([divisor]);
      expect(multiplier[0]).toBeLessThan(2 ** 32);
      const multiple = Math.floor(some / divisor) * divisor + near;
      for (const number of [some, Math.min(Math.max(multiple, 0), 2 ** 31 - 1)]) {
        const quotient = Number((BigInt(number) * BigInt(multiplier[0]!)) >> BigInt(shift[0]!));
        expect(quotient).toBe(Math.floor(number / divisor));
      }
    }),
    { numRuns: 2000 },
  );
});

it('lanes of a reduction fill a block and cover everything once', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 100_000 }));
  fc.assert(
    fc.property(size, size, size, (outer, n, inner) => {
      const { lanesInner, lanesN, parts, chunk, blocks } = lanesFor({ outer, n, inner });
      for (const lanes of [lanesInner, lanesN]) expect(powerOfTwo(lanes)).toBe(lanes);
      const lanesOuter = 256 / (lanesInner * lanesN);
      expect(Number.isInteger(lanesOuter)).toBe(true);
      expect(blocks).toBe(Math.ceil(inner / lanesInner) * Math.ceil(outer / lanesOuter) * parts);
      expect(parts * chunk).toBeGreaterThanOrEqual(n);
      expect((parts - 1) * chunk).toBeLessThan(n);
    }),
  );
});
