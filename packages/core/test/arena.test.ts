import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Lifetime, layOutArena } from '../src/index.js';

const lifetime: fc.Arbitrary<Lifetime> = fc
  .record({
    bytes: fc.integer({ min: 0, max: 5000 }),
    first: fc.integer({ min: 0, max: 30 }),
    length: fc.integer({ min: 0, max: 8 }),
  })
  .map(({ bytes, first, length }) => ({ bytes, first, last: first + length }));

test('what lives at the same time does not share a byte, and all lies inside', () => {
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 30 }), (lifetimes) => {
      const { offsets, bytes, liveBytes } = layOutArena(lifetimes);
      lifetimes.forEach((a, n) => {
        expect(offsets[n]! + a.bytes).toBeLessThanOrEqual(bytes);
        lifetimes.slice(0, n).forEach((b, m) => {
          if (a.first > b.last || b.first > a.last) return;
          const apart = offsets[n]! + a.bytes <= offsets[m]! || offsets[m]! + b.bytes <= offsets[n]!;
          expect(apart || a.bytes === 0 || b.bytes === 0).toBe(true);
        });
      });
      expect(bytes).toBeGreaterThanOrEqual(liveBytes);
    }),
  );
});

test('a chain needs its two largest neighbours and no more', () => {
  const sizes = [640, 1280, 3200, 64, 6400, 640];
  const chain = sizes.map((bytes, n) => ({ bytes, first: n, last: n + 1 }));
  expect(layOutArena(chain).bytes).toBe(7040);
  expect(layOutArena(chain).liveBytes).toBe(7040);
});
