import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DSConvFilter,
  InvalidArgumentError,
  NotFiniteError,
  type QuantizeOptions,
  quantizeDepthwiseFilter,
  quantizeFilter,
} from '../src/index.js';

type Shape = [number, number, number, number];

/** Squared error of every block of ŵ, in float64 from the stored scales; `[tap, block, o]`. */
function blockErrors(weights: Float32Array, filter: DSConvFilter): Float64Array {
  const [kh, kw, depth, outputs] = filter.shape;
  const { blocks, blockSize } = filter;
  const q = filter.unpack();
  const kds = filter.scales('kds')!;
  const kdsBias = filter.scales('kdsBias');
  const errors = new Float64Array(kh * kw * blocks * outputs);
  for (let n = 0; n < weights.length; n++) {
    const o = n % outputs;
    const row = (n - o) / outputs;
    const block = Math.floor((row % depth) / blockSize);
    const at = (Math.floor(row / depth) * blocks + block) * outputs + o;
    errors[at]! += (weights[n]! - (kds[at]! * q[n]! + (kdsBias?.[at] ?? 0))) ** 2;
  }
  return errors;
}

const weight = fc.float({ noNaN: true, min: Math.fround(-0.7), max: Math.fround(0.7) });
const sizes: Shape = [1, 2, 19, 2];
const weightsOf = (shape: Shape, value = weight) => {
  const length = shape.reduce((product, d) => product * d, 1);
  return fc.array(value, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values));
};
const bits = fc.integer({ min: 2, max: 8 });

describe('quantizeFilter', () => {
  it('quantizes a block by hand', () => {
    // absmax: a = -8 → s = 1, q = w rounded half to even; kds = Σwq / Σq² = (64 + 3.5*4 + 2.5*2) / (64 + 16 + 4) = 83 / 84.
    const filter = quantizeFilter(Float32Array.of(-8, 3.5, 2.5, 0), [1, 1, 4, 1], {
      bits: 4,
      blockSize: 4,
      method: 'absmax',
      scales: 'float32',
      perChannel: false,
    });
    expect([...filter.unpack()]).toEqual([-8, 4, 2, 0]);
    expect(filter.scales('kds')![0]).toBe(Math.fround(83 / 84));
  });

  it('gives the extreme the longer end of the range, whatever its sign', () => {
    const options = { bits: 4, method: 'absmax', scales: 'float32', perChannel: false } as const;
    const filter = quantizeFilter(Float32Array.of(8, -4), [1, 1, 2, 1], options);
    expect([...filter.unpack()]).toEqual([-8, 4]);
    expect(filter.scales('kds')![0]).toBe(-1);
  });

  for (const scales of ['float16', 'float32'] as const) {
    for (const kdsBias of [false, true]) {
      it(`is never worse by search than by absmax on any block (${scales}, kdsBias ${kdsBias})`, () => {
        const blockSize = fc.constantFrom(4, 16, 32);
        fc.assert(
          fc.property(weightsOf(sizes), bits, blockSize, (weights, b, B) => {
            const options = { bits: b, blockSize: B, scales, kdsBias };
            const absmax = quantizeFilter(weights, sizes, { ...options, method: 'absmax' });
            const search = quantizeFilter(weights, sizes, options);
            // Only filters that are stored alike can be compared block by block.
            fc.pre(absmax.stored('kds')!.format === search.stored('kds')!.format);
            const limit = blockErrors(weights, absmax);
            blockErrors(weights, search).forEach((error, n) => {
              expect(error).toBeLessThanOrEqual(limit[n]! * (1 + 1e-12));
            });
          }),
        );
      });
    }
  }

  it('keeps q in range at every width, never +2^(b-1)', () => {
    fc.assert(
      fc.property(weightsOf(sizes), bits, fc.constantFrom('absmax', 'search'), (weights, b, method) => {
        const q = quantizeFilter(weights, sizes, { bits: b, blockSize: 16, method }).unpack();
        expect(Math.max(...q)).toBeLessThanOrEqual(2 ** (b - 1) - 1);
        expect(Math.min(...q)).toBeGreaterThanOrEqual(-(2 ** (b - 1)));
      }),
    );
  });

  it('meets weights that are on the grid exactly', () => {
    const q = Int8Array.from({ length: 32 }, (_, n) => ((n * 7) % 16) - 8);
    const filter = quantizeFilter(
      Float32Array.from(q, (v) => v / 64),
      [1, 1, 32, 1],
      { bits: 4 },
    );
    expect([...filter.dequantize()]).toEqual([...q].map((v) => v / 64));
  });

  it('makes an all-zero block q = 0, kds = 0', () => {
    const weights = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? 0 : i / 10));
    for (const kdsBias of [false, true]) {
      const filter = quantizeFilter(weights, [1, 1, 32, 1], { bits: 4, blockSize: 16, kdsBias });
      expect([...filter.unpack().subarray(0, 16)]).toEqual(Array(16).fill(0));
      expect(filter.scales('kds')![0]).toBe(0);
      expect(filter.scales('kdsBias')?.[0] ?? 0).toBe(0);
    }
  });

  it('names tensor and index of a weight that is not finite', () => {
    for (const bad of [NaN, Infinity]) {
      const weights = new Float32Array(32);
      weights[7] = bad;
      const call = () => quantizeFilter(weights, [1, 1, 32, 1], { bits: 4, name: 'conv1.weight' });
      expect(call).toThrow(new NotFiniteError(`'conv1.weight'[7] is ${bad}; expected a finite weight`));
    }
    const call = () => quantizeDepthwiseFilter(Float32Array.of(NaN), [1, 1, 1, 1], { bits: 4 });
    expect(call).toThrow("'weights'[0] is NaN; expected a finite weight");
  });

  it('takes one scale per channel below a depth of 16, and blocks from there on', () => {
    const shallow = quantizeFilter(new Float32Array(15 * 9).fill(0.1), [3, 3, 15, 1], { bits: 8 });
    expect([shallow.stored('kds'), shallow.stored('cds')?.data.length]).toEqual([undefined, 1]);
    const deep = quantizeFilter(new Float32Array(16 * 9).fill(0.1), [3, 3, 16, 1], { bits: 8 });
    expect([deep.stored('kds')?.data.length, deep.stored('cds')]).toEqual([9, undefined]);
    const told = quantizeFilter(new Float32Array(15), [1, 1, 15, 1], { bits: 8, perChannel: false });
    expect(told.stored('kds')?.data.length).toBe(1);
  });

  it('fits kdsBias so that a constant block is met', () => {
    const filter = quantizeFilter(new Float32Array(16).fill(0.75), [1, 1, 16, 1], { bits: 2, kdsBias: true });
    expect([...filter.dequantize()]).toEqual(Array(16).fill(0.75));
  });

  it('fits scale and bias by least squares to the integers it chose', () => {
    fc.assert(
      fc.property(weightsOf([1, 1, 16, 1]), bits, fc.boolean(), (weights, b, kdsBias) => {
        const filter = quantizeFilter(weights, [1, 1, 16, 1], { bits: b, kdsBias, scales: 'float32' });
        const q = filter.unpack();
        const rest = Array.from(
          weights,
          (w, i) => w - filter.scales('kds')![0]! * q[i]! - (filter.scales('kdsBias')?.[0] ?? 0),
        );
        // The residual of a least-squares fit has nothing left along what was fitted.
        expect(Math.abs(rest.reduce((sum, r, i) => sum + r * q[i]!, 0))).toBeLessThan(2e-3);
        if (kdsBias) expect(Math.abs(rest.reduce((sum, r) => sum + r, 0))).toBeLessThan(1e-5);
      }),
    );
  });

  it('matches mean and variance of every channel with cds', () => {
    fc.assert(
      fc.property(weightsOf([1, 2, 20, 3]), bits, (weights, b) => {
        const filter = quantizeFilter(weights, [1, 2, 20, 3], { bits: b, cds: true, scales: 'float32' });
        const approximate = filter.dequantize();
        for (let o = 0; o < 3; o++) {
          const [wanted, found] = [weights, approximate].map((values) => {
            const channel = values.filter((_, n) => n % 3 === o);
            const mean = channel.reduce((sum, v) => sum + v, 0) / channel.length;
            const deviation = Math.sqrt(
              channel.reduce((sum, v) => sum + (v - mean) ** 2, 0) / channel.length,
            );
            return { mean, deviation };
          });
          expect(found!.mean).toBeCloseTo(wanted!.mean, 5);
          // A channel that became constant has no deviation to scale.
          if (found!.deviation > 0) expect(found!.deviation).toBeCloseTo(wanted!.deviation, 5);
        }
      }),
    );
  });

  it('stores float32 where float16 would overflow or lose too much', () => {
    const formats = (scale: number) =>
      quantizeFilter(new Float32Array(16).fill(scale), [1, 1, 16, 1], { bits: 2 }).stored('kds')!.format;
    expect(formats(0.3)).toBe('float16');
    expect(formats(1e6)).toBe('float32');
    expect(formats(1e-7)).toBe('float32');
    const tiny = quantizeFilter(new Float32Array(16).fill(1e-7), [1, 1, 16, 1], { bits: 2 });
    expect(tiny.dequantize()[0]).toBeCloseTo(1e-7, 12);
  });

  it('counts bytes as stored', () => {
    const filter = quantizeFilter(new Float32Array(3 * 3 * 64 * 5).fill(1), [3, 3, 64, 5], { bits: 3 });
    expect(filter.byteLength).toBe((3 * 3 * 64 * 5 * 3) / 8 + 3 * 3 * 5 * 2);
  });

  it('quantizes a depthwise filter with one scale per channel', () => {
    const filter = quantizeDepthwiseFilter(Float32Array.of(1, -2, 0.5, 4), [2, 1, 2, 1], {
      bits: 8,
      scales: 'float32',
      method: 'absmax',
    });
    expect([filter.kind, filter.stored('cds')?.data.length, filter.stored('kds')]).toEqual([
      'depthwise',
      2,
      undefined,
    ]);
    const found = filter.dequantize();
    for (const [n, value] of [1, -2, 0.5, 4].entries()) {
      expect(Math.abs(found[n]! - value)).toBeLessThan(0.02);
    }
  });

  it('refuses options out of range', () => {
    const call = (options: object, shape: Shape = [1, 1, 16, 1]) => {
      return () => quantizeFilter(new Float32Array(16), shape, { bits: 4, ...options } as QuantizeOptions);
    };
    expect(call({ bits: 9 })).toThrow(new InvalidArgumentError('bits is 9; expected an integer from 2 to 8'));
    expect(call({ bits: 1 })).toThrow('bits is 1; expected an integer from 2 to 8');
    expect(call({ blockSize: 0 })).toThrow('blockSize is 0; expected a positive integer');
    expect(call({ scales: 'float8' })).toThrow("scales is float8; expected 'float16' or 'float32'");
    expect(call({ method: 'guess' })).toThrow("method is guess; expected 'absmax' or 'search'");
    expect(call({ perChannel: true, cds: true, name: 'w' })).toThrow(
      "kdsBias or cds is asked for 'w', which is quantized per channel; expected perChannel: false with them",
    );
    expect(call({}, [1, 1, 15, 1])).toThrow(
      "'weights' has 16 weights and shape [1,1,15,1]; expected four dimensions with a product of that",
    );
  });
});
