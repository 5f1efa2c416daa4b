import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { launchConcat } from '../src/kernels/concat.js';
import { inUnits, launchCopy } from '../src/kernels/copy.js';
import { launchTranspose, transposeAxes } from '../src/kernels/transpose.js';
import {
  addressOf,
  type Dtype,
  expectAsOnCpu,
  launched,
  randomValues,
  shapes,
  tensorOf,
  type Values,
} from './support/against-cpu.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

const ALL: readonly Dtype[] = ['float32', 'int32', 'bool'];

/** Holds an operator with drawn attributes against the CPU, for every type. */
async function forAll<A>(
  attributes: (shape: readonly number[]) => fc.Arbitrary<A>,
  run: (x: tf.Tensor, attributes: A) => tf.Tensor | tf.Tensor[],
  { rank = 5, least = 0, longest = 5, kernels = 1, numRuns = 12, dtypes = ALL } = {},
): Promise<void> {
  for (const dtype of dtypes) {
    await fc.assert(
      fc.asyncProperty(
        shapes(rank, least, longest)
          .filter((shape) => shape.length > 0)
          .chain((shape) => fc.tuple(tensorOf(shape, dtype), attributes(shape))),
        ([x, drawn]) => expectAsOnCpu((tensor) => run(tensor, drawn), [x], {}, kernels),
      ),
      { numRuns },
    );
  }
}

const permutations = (rank: number): fc.Arbitrary<number[]> =>
  fc.shuffledSubarray(
    Array.from({ length: rank }, (_, axis) => axis),
    { minLength: rank },
  );

describe('transposition', () => {
  it('of any axes', async () => {
    await forAll(
      (shape) => permutations(shape.length),
      (x, perm) => tf.transpose(x, perm),
      { rank: 6, kernels: 0 },
    );
  });

  it('in tiles', async () => {
    for (const [shape, perm] of [
      [
        [40, 70],
        [1, 0],
      ],
      [
        [2, 33, 32],
        [0, 2, 1],
      ],
      [
        [3, 9, 11, 8],
        [0, 3, 1, 2],
      ],
      [
        [3, 8, 9, 11],
        [0, 2, 3, 1],
      ],
      [
        [64, 64],
        [1, 0],
      ],
      [
        [16, 3, 20],
        [2, 1, 0],
      ],
      [
        [5, 6, 32],
        [1, 0, 2],
      ],
    ] as const) {
      for (const dtype of ALL) {
        await expectAsOnCpu((x) => tf.transpose(x, [...perm]), [randomValues(shape, dtype)]);
      }
    }
  });

  it('in pieces', () => {
    for (const shape of [
      [6, 9, 10],
      [6, 5, 3],
    ]) {
      const tensor = tf.tensor([...randomValues(shape, 'float32').values], shape);
      const x = addressOf(tensor);
      const axes = transposeAxes(shape, [0, 2, 1]);
      const found = launched(shape, (y) => launchTranspose(cuda(), { x, y, bytes: 4, axes }, 100));
      expect(found).toEqual(tf.transpose(tensor, [0, 2, 1]).dataSync());
    }
  });
});

describe('boxes', () => {
  const boxes = (shape: readonly number[]) =>
    fc
      .tuple(
        ...shape.map((size) =>
          fc.tuple(fc.integer({ min: 0, max: size }), fc.double({ min: 0, max: 1, noNaN: true })),
        ),
      )
      .map((ends) => ({
        begin: ends.map(([from]) => from),
        size: ends.map(([from, part], axis) => Math.floor((shape[axis]! - from) * part)),
      }));

  it('are cut out', async () => {
    await forAll(boxes, (x, { begin, size }) => tf.slice(x, begin, size));
    await expectAsOnCpu((x) => tf.slice(x, [1, 4], [2, 8]), [randomValues([5, 16], 'float32')]);
    await expectAsOnCpu((x) => tf.slice(x, [1, 4], [2, 4]), [randomValues([5, 16], 'bool')]);
  });

  it('are cut out in steps', async () => {
    // Ends in the order of the steps, counted from the front or the back: otherwise TensorFlow.js's CPU kernel may throw.
    const steps = (shape: readonly number[]) =>
      fc.tuple(
        ...shape.map((size) =>
          fc
            .tuple(
              fc.nat({ max: size }),
              fc.nat({ max: size }),
              fc.constantFrom(1, 2, 3, -1, -2),
              fc.boolean(),
            )
            .map(([one, other, step, fromBack]) => {
              const ends = [Math.min(one, other), Math.max(one, other)];
              if (step < 0) ends.reverse();
              const [begin, end] = fromBack && Math.max(...ends) < size ? ends.map((at) => at - size) : ends;
              return { begin: begin!, end: end!, step };
            }),
        ),
      );
    await forAll(
      (shape) =>
        fc.tuple(
          steps(shape),
          fc.nat({ max: 2 ** shape.length - 1 }),
          fc.nat({ max: 2 ** shape.length - 1 }),
        ),
      (x, [ends, beginMask, endMask]) =>
        tf.stridedSlice(
          x,
          ends.map(({ begin }) => begin),
          ends.map(({ end }) => end),
          ends.map(({ step }) => step),
          beginMask,
          endMask,
        ),
      { least: 1, rank: 4, kernels: 0, numRuns: 25 },
    );
  });

  it('are turned round', async () => {
    await forAll(
      (shape) => fc.subarray(shape.map((_, axis) => axis)),
      (x, axes) => tf.reverse(x, axes),
      { rank: 6 },
    );
  });

  it('are repeated', async () => {
    await forAll(
      (shape) =>
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: shape.length, maxLength: shape.length }),
      (x, reps) => tf.tile(x, reps),
      { longest: 3 },
    );
    // Twelve axes that cannot be merged.
    await expectAsOnCpu((x) => tf.tile(x, [2, 2, 2, 2, 2, 2]), [randomValues([2, 2, 2, 2, 2, 2], 'int32')]);
    await expectAsOnCpu((x) => tf.broadcastTo(x, [3, 2, 4]), [randomValues([2, 1], 'float32')]);
  });

  it('get borders', async () => {
    const borders = (shape: readonly number[]) =>
      fc.tuple(...shape.map(() => fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 }))));
    await forAll(borders, (x, paddings) => tf.pad(x, paddings, 1), { longest: 4, rank: 6 });
    await expectAsOnCpu(
      (x) =>
        tf.pad(
          x,
          [
            [0, 0],
            [1, 1],
            [2, 1],
            [0, 0],
          ],
          -2.5,
        ),
      [randomValues([2, 3, 4, 8], 'float32')],
    );
    await expectAsOnCpu(
      (x) =>
        tf.pad(
          x,
          [
            [1, 0],
            [4, 8],
          ],
          7,
        ),
      [randomValues([2, 16], 'int32')],
    );
    await expectAsOnCpu(
      (x) =>
        tf.pad(
          x,
          [
            [1, 0],
            [16, 0],
          ],
          1,
        ),
      [randomValues([2, 32], 'bool')],
    );
    await expectAsOnCpu((x) => tf.pad(x, [[1, 2]], 3), [{ shape: [0], dtype: 'float32', values: [] }]);
  });

  it('get mirrored borders', async () => {
    for (const mode of ['reflect', 'symmetric'] as const) {
      const borders = (shape: readonly number[]) =>
        fc.tuple(
          ...shape.map((size) => {
            const most = mode === 'reflect' ? size - 1 : size;
            return fc.tuple(fc.nat({ max: most }), fc.nat({ max: most }));
          }),
        );
      await forAll(borders, (x, paddings) => tf.mirrorPad(x, paddings as [number, number][], mode), {
        least: 1,
        longest: 4,
        rank: 4,
      });
      const paddings: [number, number][] = [
        [1, 1],
        [0, 0],
        [2, 0],
        [0, 0],
      ];
      await expectAsOnCpu((x) => tf.mirrorPad(x, paddings, mode), [randomValues([2, 3, 4, 8], 'float32')]);
    }
  });

  it('change places with batches', async () => {
    const x = randomValues([2, 5, 6, 3], 'float32');
    await expectAsOnCpu(
      (tensor) =>
        tf.spaceToBatchND(
          tensor,
          [2, 3],
          [
            [1, 0],
            [0, 3],
          ],
        ),
      [x],
    );
    const back = randomValues([12, 3, 2, 3], 'int32');
    await expectAsOnCpu(
      (tensor) =>
        tf.batchToSpaceND(
          tensor,
          [2, 3],
          [
            [1, 0],
            [0, 2],
          ],
        ),
      [back],
    );
  });
});

describe('putting together and taking apart', () => {
  it('along any axis', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          shapes(4, 0, 4)
            .filter((shape) => shape.length > 0)
            .chain((shape) =>
              fc.nat({ max: shape.length - 1 }).chain((axis) =>
                fc.tuple(
                  fc.constant(axis),
                  fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 4 }).chain((lengths) =>
                    fc.tuple(
                      ...lengths.map((length) =>
                        tensorOf(
                          shape.map((size, n) => (n === axis ? length : size)),
                          dtype,
                        ),
                      ),
                    ),
                  ),
                ),
              ),
            ),
          ([axis, tensors]) => expectAsOnCpu((...all) => tf.concat(all, axis), tensors, {}, 0),
        ),
        { numRuns: 15 },
      );
    }
    const wide: Values[] = [
      randomValues([3, 8], 'float32'),
      randomValues([3, 4], 'float32', 2),
      randomValues([3, 3], 'float32', 3),
    ];
    await expectAsOnCpu((...all) => tf.concat(all, 1), wide, {}, 3);
  });

  it('stacks and unstacks', async () => {
    await forAll(
      (shape) => fc.nat({ max: shape.length }),
      (x, axis) => tf.stack([x, x, x], axis),
      { rank: 4 },
    );
    await forAll(
      (shape) => fc.nat({ max: shape.length - 1 }),
      (x, axis) => tf.unstack(x, axis),
      { rank: 4, least: 1 },
    );
  });

  it('splits', async () => {
    await expectAsOnCpu((x) => tf.split(x, 3, 1), [randomValues([4, 9], 'float32')]);
    await expectAsOnCpu((x) => tf.split(x, [1, 0, 5, 2], 1), [randomValues([2, 8, 3], 'int32')]);
    await expectAsOnCpu((x) => tf.split(x, [4, -1], 0), [randomValues([6, 4], 'bool')]);
  });

  it('refuses what does not fit together', () => {
    expect(() => tf.concat([tf.zeros([2, 3]), tf.zeros([3, 4])], 1)).toThrow();
  });

  it('puts rows side by side at any address', () => {
    const inputs = [3, 5, 1].map((width, n) => addressOf(tf.fill([4, width], n + 1)));
    const found = launched([4, 9], (y) =>
      launchConcat(cuda(), { inputs, widths: [3, 5, 1], y, rows: 4, bytes: 4 }),
    );
    const row = [1, 1, 1, 2, 2, 2, 2, 2, 3];
    expect([...found]).toEqual([row, row, row, row].flat());
  });

  it('names the same data anew', async () => {
    const x = randomValues([2, 3, 4], 'float32');
    const renamed = [
      (t: tf.Tensor) => tf.reshape(t, [4, -1]),
      (t: tf.Tensor) => tf.expandDims(t, 1),
      (t: tf.Tensor) => tf.clone(t),
    ];
    for (const run of renamed) await expectAsOnCpu(run, [x], {}, 0);
  });
});

describe('looking up', () => {
  it('slices by index', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          shapes(4, 1, 5)
            .filter((shape) => shape.length > 0)
            .chain((shape) =>
              fc
                .nat({ max: shape.length - 1 })
                .chain((axis) =>
                  fc.tuple(
                    tensorOf(shape, dtype),
                    fc.constant(axis),
                    fc.array(fc.nat({ max: shape[axis]! - 1 }), { minLength: 1, maxLength: 6 }),
                  ),
                ),
            ),
          ([x, axis, indices]) =>
            expectAsOnCpu(
              (tensor, at) => tf.gather(tensor, at as tf.Tensor1D, axis),
              [x, { shape: [indices.length], dtype: 'int32', values: indices }],
            ),
        ),
        { numRuns: 12 },
      );
    }
    const indices: Values = { shape: [2, 2], dtype: 'int32', values: [2, 0, 1, 1] };
    await expectAsOnCpu(
      (x, at) => tf.gather(x, at as tf.Tensor1D, 1, 1),
      [randomValues([2, 3, 8], 'float32'), indices],
    );
    await expectAsOnCpu(
      (x, at) => tf.gather(x, at as tf.Tensor1D, 2, 1),
      [randomValues([2, 5, 3, 4], 'float32'), indices],
    );
  });

  it('gives zeros for an index that is out of range', () => {
    const found = tf.gather(
      tf.tensor2d([
        [1, 2],
        [3, 4],
      ]),
      tf.tensor1d([1, 2, -1], 'int32'),
    );
    expect(found.arraySync()).toEqual([
      [3, 4],
      [0, 0],
      [0, 0],
    ]);
  });

  it('one-hot rows', async () => {
    const indices: Values = { shape: [2, 3], dtype: 'int32', values: [0, 3, 1, -1, 4, 2] };
    for (const dtype of ALL) {
      await expectAsOnCpu((at) => tf.oneHot(at as tf.Tensor1D, 4, 1, 0, dtype), [indices]);
    }
    await expectAsOnCpu((at) => tf.oneHot(at as tf.Tensor1D, 4, 2.5, -0.5, 'float32'), [indices]);
  });
});

describe('resizing', () => {
  const sizes = fc.integer({ min: 1, max: 7 });
  const images = fc.tuple(fc.integer({ min: 1, max: 2 }), sizes, sizes, fc.constantFrom(1, 3, 4, 8));
  const options = fc.constantFrom<[boolean, boolean]>([false, false], [true, false], [false, true]);

  it('forward', async () => {
    for (const dtype of ['float32', 'int32'] as const) {
      await fc.assert(
        fc.asyncProperty(
          images.chain((shape) => fc.tuple(tensorOf(shape, dtype, false), fc.tuple(sizes, sizes), options)),
          async ([x, size, [align, half]]) => {
            await expectAsOnCpu((t) => tf.image.resizeBilinear(t as tf.Tensor4D, size, align, half), [x], {
              ulps: 4,
              absolute: dtype === 'int32' ? 5e-4 : 4e-6,
            });
            await expectAsOnCpu(
              (t) => tf.image.resizeNearestNeighbor(t as tf.Tensor4D, size, align, half),
              [x],
            );
          },
        ),
        { numRuns: 15 },
      );
    }
  });

  it('backward', async () => {
    await fc.assert(
      fc.asyncProperty(
        images.chain(([batch, height, channels]) =>
          // TensorFlow.js mistakes height for width in the shape of one gradient, so that only squares can be compared.
          fc
            .tuple(sizes, sizes)
            .chain(([newHeight, newWidth]) =>
              fc.tuple(
                tensorOf([batch, height, height, channels], 'float32', false),
                tensorOf([batch, newHeight, newWidth, channels], 'float32', false),
                fc.boolean(),
              ),
            ),
        ),
        async ([x, dy, align]) => {
          // With aligned corners and one pixel, TensorFlow.js's search for the nearest has no end.
          const isPoint = align && x.shape[1] === 1;
          // Of a second image it reads the gradient in the wrong place.
          const isNearestServed = !isPoint && x.shape[0] === 1;
          const gradient = (kernel: string) => (images: tf.Tensor, from: tf.Tensor) =>
            tf.engine().runKernel(kernel, { images, dy: from }, { alignCorners: align }) as tf.Tensor;
          await expectAsOnCpu(gradient('ResizeBilinearGrad'), [x, dy], { ulps: 4, absolute: 2e-5 });
          if (isNearestServed)
            await expectAsOnCpu(gradient('ResizeNearestNeighborGrad'), [x, dy], { ulps: 4, absolute: 2e-5 });
        },
      ),
      { numRuns: 25 },
    );
  });

  it('backward to the nearest, image by image', () => {
    const gradient = (images: tf.Tensor, dy: tf.Tensor) =>
      tf
        .engine()
        .runKernel('ResizeNearestNeighborGrad', { images, dy }, { alignCorners: false }) as tf.Tensor;
    const dy = tf.tensor([...randomValues([2, 3, 5, 2], 'float32').values], [2, 3, 5, 2]);
    const together = gradient(tf.zeros([2, 4, 2, 2]), dy);
    const apart = tf.split(dy, 2).map((each) => gradient(tf.zeros([1, 4, 2, 2]), each));
    expect(together.dataSync()).toEqual(tf.concat(apart).dataSync());
    const all = (x: tf.Tensor) => tf.sum(x).dataSync()[0]!;
    expect(all(together)).toBeCloseTo(all(dy), 4);
  });

  it('backward for images that are no squares: the gradient of a sum is what each pixel was read for', () => {
    const [images, dy] = [tf.zeros([1, 2, 5, 1]), tf.ones([1, 4, 3, 1])];
    const dx = tf
      .engine()
      .runKernel('ResizeBilinearGrad', { images, dy }, { alignCorners: false }) as tf.Tensor;
    expect(dx.shape).toEqual([1, 2, 5, 1]);
    expect(tf.sum(dx).dataSync()[0]).toBeCloseTo(12, 5);
  });
});

describe('copies', () => {
  it('move as many bytes at once as lie together', () => {
    const axes = (inner: number, outer: number) => [
      { size: 3, strides: [outer, outer] },
      { size: inner, strides: [1, 1] },
    ];
    expect(inUnits(4, axes(8, 12), [256, 512]).unit).toBe(16);
    expect(inUnits(4, axes(8, 12), [256, 516]).unit).toBe(4);
    expect(inUnits(4, axes(8, 10), [256, 512]).unit).toBe(4);
    expect(inUnits(4, axes(6, 12), [256, 512]).unit).toBe(4);
    expect(inUnits(1, axes(8, 12), [256, 512]).unit).toBe(4);
    expect(inUnits(1, axes(16, 32), [256, 512]).unit).toBe(16);
    expect(inUnits(1, axes(5, 16), [256, 512]).unit).toBe(1);
    expect(inUnits(4, [{ size: 8, strides: [2, 1] }], [256, 512]).unit).toBe(4);
  });

  it('are cut where they are too long', () => {
    const tensor = tf.range(0, 60);
    const x = addressOf(tensor);
    const axes = [
      { size: 5, strides: [12, 1] },
      { size: 12, strides: [1, 5] },
    ];
    const found = launched([60], (y) => launchCopy(cuda(), { x, y, bytes: 4, axes }, 20));
    expect(found).toEqual(tf.transpose(tf.reshape(tensor, [5, 12])).dataSync());
  });
});
