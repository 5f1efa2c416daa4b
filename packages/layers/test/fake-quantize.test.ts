/** Rounding of filters in training: by its definition, on the host and with stock operators, and what freezing makes of it. */
import '@dsconv/backend-cpu';
import { quantizeDepthwiseFilter, quantizeFilter, roundToFloat16 } from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { fakeQuantizeComposite, gradientsComposite, refitComposite } from '../src/filter/composite.js';
import { fakeQuantize, fitScales, refitScales } from '../src/filter/fake-quantize.js';
import { fitOnHost } from '../src/filter/host.js';
import { type Partition, scaleShape, weightsPerScale } from '../src/filter/partition.js';
import { freezeFilter } from '../src/filter/quantized-filter.js';
import { filters, floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Index of the scale of weight `n`, from the layouts alone. */
function scaleOf(n: number, { kind, shape, blockSize, perChannel }: Partition): number {
  const [, , inner, outer] = shape;
  if (kind === 'depthwise') return n % (inner * outer);
  const o = n % outer;
  if (perChannel) return o;
  const i = Math.floor(n / outer) % inner;
  const tap = Math.floor(n / outer / inner);
  return (tap * Math.ceil(inner / blockSize) + Math.floor(i / blockSize)) * outer + o;
}

const halfEven = (v: number): number => {
  const floor = Math.floor(v);
  const rest = v - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};

interface Expected {
  y: Float32Array;
  dw: Float32Array;
  dkds: Float64Array;
  dkdsBias: Float64Array;
}

function byDefinition(
  w: Float32Array,
  dy: Float32Array,
  kds: Float32Array,
  kdsBias: Float32Array | null,
  bits: number,
  partition: Partition,
): Expected {
  const [low, high] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const y = new Float32Array(w.length);
  const dw = new Float32Array(w.length);
  const dkds = new Float64Array(kds.length);
  const dkdsBias = new Float64Array(kds.length);
  for (let n = 0; n < w.length; n++) {
    const s = scaleOf(n, partition);
    const shift = kdsBias ? kdsBias[s]! : 0;
    const quotient = kds[s] === 0 ? 0 : Math.fround(Math.fround(w[n]! - shift) / kds[s]!);
    const nearest = halfEven(quotient);
    const q = Math.min(Math.max(nearest, low), high);
    y[n] = Math.fround(kds[s]! * q) + shift;
    const inside = nearest === q;
    dw[n] = inside ? dy[n]! : 0;
    dkds[s]! += dy[n]! * (inside ? q - quotient : q);
    if (!inside) dkdsBias[s]! += dy[n]!;
  }
  return { y, dw, dkds, dkdsBias };
}

/** Scales that no fit would give, so that the clamp is met too. */
function anyScales(partition: Partition, w: Float32Array, bits: number, seed: number): Float32Array {
  const fitted = fitOnHost(w, bits, partition).kds;
  const factor = floats(fitted.length, seed, 0.8);
  return fitted.map((scale, n) => roundToFloat16(scale * (1 + factor[n]!)));
}

describe('rounding a filter', () => {
  test.each(['cpu', 'dsconv-cpu'])(
    'value and gradients are those of the definition on %s, with stock operators too',
    async (backend) => {
      await tf.setBackend(backend);
      fc.assert(
        fc.property(filters, fc.boolean(), ({ partition, bits, w, seed }, shifted) => {
          tf.tidy(() => {
            const shape = [...partition.shape] as [number, number, number, number];
            const kds = anyScales(partition, w, bits, seed);
            const withBias = shifted && !partition.perChannel;
            const kdsBias = withBias ? floats(kds.length, seed + 1, 0.1).map(roundToFloat16) : null;
            const dy = floats(w.length, seed + 2);
            const expected = byDefinition(w, dy, kds, kdsBias, bits, partition);
            const step = 1 / Math.sqrt(weightsPerScale(partition) * (2 ** (bits - 1) - 1));
            const [W, K, D] = [
              tf.tensor4d(w, shape),
              tf.tensor(kds, scaleShape(partition)),
              tf.tensor4d(dy, shape),
            ];
            const B = kdsBias && tf.tensor(kdsBias, scaleShape(partition));
            const near = (found: tf.Tensor, values: Float64Array, factor: number) => {
              const data = found.dataSync();
              // Sums of up to a few hundred numbers of size 2^b in float32.
              values.forEach((value, n) => {
                expect(Math.abs(data[n]! - value * factor)).toBeLessThanOrEqual(1e-4 * 2 ** bits * factor);
              });
            };
            const inputs = B ? [W, K, B] : [W, K];
            const grads = tf.grads((...t: tf.Tensor[]) =>
              fakeQuantize(t[0] as tf.Tensor4D, t[1]!, t[2] ?? null, bits, partition),
            )(inputs, D);
            expect(fakeQuantize(W, K, B, bits, partition).dataSync()).toEqual(expected.y);
            expect(grads[0]!.dataSync()).toEqual(expected.dw);
            near(grads[1]!, expected.dkds, step);
            if (B) near(grads[2]!, expected.dkdsBias, step);

            const made = fakeQuantizeComposite(W, K, B, bits, partition).dataSync();
            // Multiplying gives -0 too.
            expect(made.map((v) => v + 0)).toEqual(expected.y.map((v) => v + 0));
            const composite = gradientsComposite(D, W, K, B, bits, partition);
            expect(composite.dw.dataSync()).toEqual(expected.dw);
            near(composite.dkds, expected.dkds, 1);
            near(composite.dkdsBias, expected.dkdsBias, 1);
          });
        }),
        { numRuns: 100 },
      );
    },
  );

  test('the gradient by the weights is that of the smooth surrogate where the clamp is not met', () => {
    // Without rounding ŵ = w: finite differences of the surrogate are 1 inside and 0 outside.
    const partition: Partition = {
      kind: 'conv2d',
      shape: [1, 1, 4, 1],
      blockSize: 4,
      perChannel: false,
      scaleFormat: 'float16',
    };
    const w = tf.tensor4d([0.11, -0.26, 0.9, -0.9], [1, 1, 4, 1]);
    const kds = tf.tensor([0.125], [1, 1, 1, 1]);
    const surrogate = (value: number) => 0.125 * Math.min(Math.max(value / 0.125, -4.5), 3.5);
    const dw = tf
      .grad((t) => fakeQuantize(t as tf.Tensor4D, kds, null, 3, partition))(w)
      .dataSync();
    [0.11, -0.26, 0.9, -0.9].forEach((value, n) => {
      expect(dw[n]).toBeCloseTo((surrogate(value + 1e-4) - surrogate(value - 1e-4)) / 2e-4, 6);
    });
  });
});

describe('scales', () => {
  const error = (w: Float32Array, kds: Float32Array, bits: number, partition: Partition): number => {
    const { y } = byDefinition(w, w, kds, null, bits, partition);
    return y.reduce((sum, value, n) => sum + (value - w[n]!) ** 2, 0);
  };

  test('fitted from scratch are those of the quantizer', () => {
    fc.assert(
      fc.property(filters, ({ partition, bits, w }) => {
        const { kind, shape, blockSize, perChannel } = partition;
        const filter =
          kind === 'depthwise'
            ? quantizeDepthwiseFilter(w, shape, { bits, blockSize })
            : quantizeFilter(w, shape, { bits, blockSize, perChannel });
        const found = tf.tidy(() =>
          fitScales(tf.tensor4d(w, [...shape] as never), bits, partition).dataSync(),
        );
        expect(found).toEqual(filter.scales(perChannel ? 'cds' : 'kds'));
      }),
      { numRuns: 60 },
    );
  });

  test('a step of least squares never makes the rounding worse, but for float16', () => {
    fc.assert(
      fc.property(filters, ({ partition, bits, w, seed }) => {
        tf.tidy(() => {
          const before = anyScales(partition, w, bits, seed);
          const W = tf.tensor4d(w, [...partition.shape] as never);
          const K = tf.tensor(before, scaleShape(partition));
          const after = refitScales(W, K, bits, partition).dataSync() as Float32Array;
          const size = w.reduce((sum, value) => sum + value * value, 0);
          expect(error(w, after, bits, partition)).toBeLessThanOrEqual(
            error(w, before, bits, partition) + 1e-3 * size * 2 ** -10 + 1e-12,
          );
          const composite = refitComposite(W, K, bits, partition).dataSync();
          // float32 sums there, float64 here: a float16 apart at most.
          after.forEach((value, n) => {
            expect(Math.abs(composite[n]! - value)).toBeLessThanOrEqual(2 ** -9 * Math.abs(value) + 1e-9);
          });
        });
      }),
      { numRuns: 100 },
    );
  });

  test('a scale of 0 starts anew when its weights are not 0, and stays where they are', () => {
    const partition: Partition = {
      kind: 'conv2d',
      shape: [1, 1, 4, 2],
      blockSize: 2,
      perChannel: false,
      scaleFormat: 'float16',
    };
    const w = tf.tensor4d([0, 0.5, 0, -1, 0, 0, 0, 0], [1, 1, 4, 2]);
    const kds = tf.zeros(scaleShape(partition));
    for (const refit of [refitScales, refitComposite]) {
      expect([...refit(w, kds, 4, partition).dataSync()].map((v) => v + 0)).toEqual([0, 0.125, 0, 0]);
    }
  });
});

describe('freezing', () => {
  test('gives the integers and scales of the forward pass', () => {
    fc.assert(
      fc.property(filters, fc.boolean(), ({ partition, bits, w, seed }, exact) => {
        const fitted = anyScales(partition, w, bits, seed);
        const kds = exact ? fitted : fitted.map((value) => Math.fround(value * 1.01));
        const filter = freezeFilter({ w, kds, kdsBias: null }, bits, partition);
        const y = tf.tidy(() =>
          fakeQuantize(
            tf.tensor4d(w, [...partition.shape] as never),
            tf.tensor(kds, scaleShape(partition)),
            null,
            bits,
            partition,
          ).dataSync(),
        );
        expect(filter.dequantize()).toEqual(y);
        expect(filter.bits).toBe(bits);
      }),
      { numRuns: 100 },
    );
  });

  test('folds what multiplies the channels', () => {
    fc.assert(
      fc.property(filters, ({ partition, bits, w, seed }) => {
        const kds = anyScales(partition, w, bits, seed);
        const plain = freezeFilter({ w, kds, kdsBias: null }, bits, partition);
        const scale = floats(plain.outChannels, seed, 3);
        const folded = freezeFilter({ w, kds, kdsBias: null }, bits, partition, { scale, shift: null });
        const expected = plain.dequantize();
        folded.dequantize().forEach((value, n) => {
          const exact = expected[n]! * scale[n % plain.outChannels]!;
          expect(Math.abs(value - exact)).toBeLessThanOrEqual(2 ** -22 * Math.abs(exact));
        });
      }),
      { numRuns: 60 },
    );
  });
});
