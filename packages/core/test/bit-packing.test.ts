import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidFilterError, packBits, packedByteLength, unpackBits } from '../src/index.js';

describe('bit packing', () => {
  it('has the documented layout', () => {
    // 3 bits, lowest bit first: 001 111 01|0 100 011 → bytes 10 111 001 and 0 011 100 0.
    expect([...packBits(Int8Array.of(1, -1, 2, -4, 3), 3)]).toEqual([0b10111001, 0b00111000]);
    expect([...packBits(Int8Array.of(-8, 7, 1), 4)]).toEqual([0x78, 0x01]);
    expect([...packBits(Int8Array.of(1, -2, -1, 0, 1), 2)]).toEqual([0b00111001, 0b01]);
    expect([...packBits(Int8Array.of(-128, 127), 8)]).toEqual([0x80, 0x7f]);
  });

  it('brings back what it packed, at every width', () => {
    const packing = fc.integer({ min: 2, max: 8 }).chain((bits) => {
      const weight = fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
      return fc.tuple(fc.constant(bits), fc.array(weight, { maxLength: 50 }));
    });
    fc.assert(
      fc.property(packing, ([bits, weights]) => {
        const packed = packBits(Int8Array.from(weights), bits);
        expect(packed.length).toBe(packedByteLength(weights.length, bits));
        expect(packed.length).toBe(Math.ceil((weights.length * bits) / 8));
        expect([...unpackBits(packed, bits, weights.length)]).toEqual(weights);
      }),
    );
  });

  it('refuses weights that do not fit', () => {
    expect(() => packBits(Int8Array.of(0, 2), 2)).toThrow(
      new InvalidFilterError('weight 1 is 2, but 2 bits hold only -2 to 1'),
    );
    expect(() => packBits(Int8Array.of(-9), 4)).toThrow('weight 0 is -9, but 4 bits hold only -8 to 7');
  });

  it('refuses a wrong number of bytes', () => {
    expect(() => unpackBits(new Uint8Array(3), 4, 8)).toThrow(
      new InvalidFilterError('3 bytes of packed weights given, but 8 weights of 4 bits take 4'),
    );
  });
});
