import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromFloat16Bits, roundToFloat16, toFloat16Bits } from '../src/index.js';

/** All finite non-negative halves in order: the bits of a half grow with its value. */
const halves = Array.from({ length: 0x7c00 }, (_, bits) => fromFloat16Bits(bits));

/** Nearest half by search in the table, ties to the one with even bits. */
function nearestBits(value: number): number {
  const size = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  let low = 0;
  let high = halves.length - 1;
  if (size >= 65520) return sign | 0x7c00;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (halves[middle]! <= size) low = middle;
    else high = middle;
  }
  const below = size - halves[low]!;
  const above = halves[high]! - size;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

describe('float16', () => {
  it('widens known patterns', () => {
    const known: [number, number][] = [
      [0x0000, 0],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0400, 2 ** -14],
      [0x0001, 2 ** -24],
      [0x3555, 0.333251953125],
      [0x7c00, Infinity],
      [0xfc00, -Infinity],
    ];
    for (const [bits, value] of known) expect(fromFloat16Bits(bits)).toBe(value);
    expect(fromFloat16Bits(0x8000)).toBe(-0);
    expect(fromFloat16Bits(0x7e00)).toBeNaN();
  });

  it('brings back all 65536 patterns', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = fromFloat16Bits(bits);
      const back = toFloat16Bits(value);
      if (Number.isNaN(value)) expect(fromFloat16Bits(back)).toBeNaN();
      else if (back !== bits) expect.fail(`${bits} came back as ${back}`);
    }
  });

  it('widens to values that grow with the bits', () => {
    for (let n = 1; n < halves.length; n++) {
      if (!(halves[n]! > halves[n - 1]!)) expect.fail(`half ${n} is not above the one before`);
    }
  });

  it('rounds halfway cases to the even neighbour, up to infinity', () => {
    for (let bits = 0; bits + 1 < halves.length; bits++) {
      const middle = (halves[bits]! + halves[bits + 1]!) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      if (toFloat16Bits(middle) !== even)
        expect.fail(`${middle} became ${toFloat16Bits(middle)}, not ${even}`);
      const above = middle * (1 + 2 ** -12);
      if (toFloat16Bits(above) !== bits + 1) expect.fail(`${above} was not rounded up`);
    }
    expect(toFloat16Bits(65519.99)).toBe(0x7bff);
    expect(toFloat16Bits(65520)).toBe(0x7c00);
    expect(roundToFloat16(-1e30)).toBe(-Infinity);
    expect(roundToFloat16(NaN)).toBeNaN();
    expect(roundToFloat16(2 ** -26)).toBe(0);
  });

  it('takes the nearest of all halves', () => {
    const wide = fc.float({ noNaN: true, min: Math.fround(-70000), max: Math.fround(70000) });
    const small = fc.float({ noNaN: true, min: Math.fround(-(2 ** -13)), max: Math.fround(2 ** -13) });
    fc.assert(
      fc.property(fc.oneof(wide, small), (value) => {
        expect(toFloat16Bits(value)).toBe(nearestBits(value));
      }),
      { numRuns: 2000 },
    );
  });
});
