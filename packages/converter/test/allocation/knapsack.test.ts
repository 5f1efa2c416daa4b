import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Choice,
  hullSelections,
  lowerHull,
  selectWithin,
  total,
} from '../../src/allocation/knapsack.js';

const choice = fc.record({ bytes: fc.nat(60), loss: fc.nat(1000).map((loss) => loss / 8) });
const problem = fc.array(fc.array(choice, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });

/** Every combination of choices. */
function everything(layers: readonly (readonly Choice[])[]): number[][] {
  return layers.reduce<number[][]>(
    (all, choices) => all.flatMap((chosen) => choices.map((_, n) => [...chosen, n])),
    [[]],
  );
}

describe('the choice of a form for every layer', () => {
  it('is the best of all within the budget, or none where none fits', () => {
    fc.assert(
      fc.property(problem, fc.nat(320), (layers, budget) => {
        const fitting = everything(layers)
          .map((chosen) => total(layers, chosen))
          .filter(({ bytes }) => bytes <= budget);
        const found = selectWithin(layers, budget);
        if (fitting.length === 0) {
          expect(found).toBeNull();
          return;
        }
        expect(found).toEqual(total(layers, found!.chosen));
        expect(found!.bytes).toBeLessThanOrEqual(budget);
        expect(found!.loss).toBeCloseTo(Math.min(...fitting.map(({ loss }) => loss)), 9);
      }),
      { numRuns: 500 },
    );
  });

  it('loses no more with more bytes', () => {
    fc.assert(
      fc.property(problem, fc.nat(300), fc.nat(100), (layers, budget, more) => {
        const less = selectWithin(layers, budget);
        fc.pre(less !== null);
        expect(selectWithin(layers, budget + more)!.loss).toBeLessThanOrEqual(less!.loss + 1e-9);
      }),
    );
  });

  it('stays within the budget for networks of real size, next to what no choice can beat', () => {
    // 150 layers of losses that fall fourfold a bit, as those of rounding do.
    const layers = Array.from({ length: 150 }, (_, n) =>
      [2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
        [32, 64, 128].map((block) => ({
          bytes: Math.round(((n * 7919) % 5000) * (bits + 16 / block)) + 100,
          loss: (((n * 104729) % 997) + 1) * 4 ** -bits * (1 + block / 400),
        })),
      ),
    );
    const hull = hullSelections(layers);
    for (const at of [0.1, 0.5, 0.9]) {
      const wanted = hull[Math.floor(at * hull.length)]!;
      const found = selectWithin(layers, wanted.bytes + 150)!;
      expect(found.bytes).toBeLessThanOrEqual(wanted.bytes + 150);
      expect(found.loss).toBeLessThanOrEqual(wanted.loss + 1e-12);
    }
  });

  it('has a curve that falls, each of whose points no mixture of others beats', () => {
    fc.assert(
      fc.property(problem, (layers) => {
        const curve = hullSelections(layers);
        const all = everything(layers).map((chosen) => total(layers, chosen));
        curve.forEach((point, n) => {
          expect(point.loss).toBeCloseTo(total(layers, point.chosen).loss, 9);
          expect(point.bytes).toBe(total(layers, point.chosen).bytes);
          const next = curve[n + 1];
          if (next === undefined) return;
          expect(next.bytes).toBeGreaterThan(point.bytes);
          expect(next.loss).toBeLessThan(point.loss);
          // The price at which both are equally good.
          const price = (point.loss - next.loss) / (next.bytes - point.bytes);
          const cost = point.loss + price * point.bytes;
          for (const other of all) expect(other.loss + price * other.bytes).toBeGreaterThan(cost - 1e-6);
        });
        expect(curve[0]!.bytes).toBe(Math.min(...all.map(({ bytes }) => bytes)));
        expect(curve.at(-1)!.loss).toBeCloseTo(Math.min(...all.map(({ loss }) => loss)), 9);
      }),
    );
  });

  it('keeps the first of equal choices', () => {
    const same = { bytes: 3, loss: 1 };
    expect(lowerHull([same, same, { bytes: 4, loss: 1 }])).toEqual([0]);
    expect(
      lowerHull([
        { bytes: 0, loss: 4 },
        { bytes: 1, loss: 3 },
        { bytes: 2, loss: 0 },
      ]),
    ).toEqual([0, 2]);
  });
});
