import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldBatchNorm, InvalidArgumentError } from '../src/index.js';

const small = fc.float({ noNaN: true, min: -4, max: 4 });
const vector = (length: number, value = small) =>
  fc.array(value, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values));

describe('foldBatchNorm', () => {
  for (const [kind, shape] of [
    ['conv2d', [1, 1, 6, 3]],
    ['depthwise', [2, 1, 3, 1]],
  ] as const) {
    it(`does what convolution and normalization do one after the other (${kind})`, () => {
      const channels = 3;
      const rows = (shape[0] * shape[1] * shape[2] * shape[3]) / channels;
      const parameters = fc.record({
        weights: vector(rows * channels),
        x: vector(rows),
        bias: fc.option(vector(channels), { nil: undefined }),
        gamma: fc.option(vector(channels, fc.oneof(small, fc.constant(0))), { nil: undefined }),
        beta: fc.option(vector(channels), { nil: undefined }),
        mean: vector(channels),
        variance: vector(channels, fc.float({ noNaN: true, min: 0, max: 9 })),
      });
      fc.assert(
        fc.property(parameters, ({ weights, x, bias, ...norm }) => {
          const epsilon = 1e-3;
          const folded = foldBatchNorm(weights, shape, { ...norm, epsilon }, bias, kind);
          for (let o = 0; o < channels; o++) {
            let plain = bias?.[o] ?? 0;
            let found = folded.bias[o]!;
            let size = Math.abs(found);
            for (let i = 0; i < rows; i++) {
              plain += x[i]! * weights[i * channels + o]!;
              found += x[i]! * folded.weights[i * channels + o]!;
              size += Math.abs(x[i]! * folded.weights[i * channels + o]!);
            }
            const factor = (norm.gamma?.[o] ?? 1) / Math.sqrt(norm.variance[o]! + epsilon);
            const wanted = (plain - norm.mean[o]!) * factor + (norm.beta?.[o] ?? 0);
            expect(Math.abs(found - wanted)).toBeLessThanOrEqual(1e-6 * (size + 1));
          }
        }),
      );
    });
  }

  it('folds negative and zero γ', () => {
    const { weights, bias } = foldBatchNorm(Float32Array.of(3, 3), [1, 1, 1, 2], {
      gamma: Float32Array.of(-2, 0),
      beta: Float32Array.of(1, 7),
      mean: Float32Array.of(5, 5),
      variance: Float32Array.of(3, 3),
      epsilon: 1,
    });
    expect([...weights]).toEqual([-3, 0]);
    expect([...bias]).toEqual([6, 7]);
  });

  it('leaves its inputs alone', () => {
    const weights = Float32Array.of(1, 2);
    foldBatchNorm(weights, [1, 1, 2, 1], {
      mean: Float32Array.of(1),
      variance: Float32Array.of(4),
      epsilon: 0,
    });
    expect([...weights]).toEqual([1, 2]);
  });

  it('refuses lengths and variances that do not fit', () => {
    const fold = (norm: object, bias?: Float32Array) => () =>
      foldBatchNorm(
        new Float32Array(2),
        [1, 1, 1, 2],
        { mean: new Float32Array(2), variance: new Float32Array(2), epsilon: 1, ...norm },
        bias,
      );
    expect(fold({ gamma: new Float32Array(3) })).toThrow(
      new InvalidArgumentError('gamma has 3 values; expected 2, one per output channel'),
    );
    expect(fold({}, new Float32Array(1))).toThrow('bias has 1 values; expected 2, one per output channel');
    expect(fold({ variance: Float32Array.of(1, -2) })).toThrow(
      'variance[1] + epsilon is -1; expected a positive number',
    );
    expect(fold({ variance: Float32Array.of(NaN, 0) })).toThrow('variance[0] + epsilon is NaN');
  });
});
