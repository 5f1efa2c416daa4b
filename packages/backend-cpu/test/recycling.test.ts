/** In the native tier the memory of a disposed tensor serves another one, unless anything else can still see it. */
import type { DSConvCpuBackend } from '@dsconv/backend-cpu';
import { bfpRound, compile, dsconv2d, quantizeFilter, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { tensor, values } from './compare.js';
import { ENGINE_BACKENDS } from './tiers.js';

const LENGTH = 4096;
const native = ENGINE_BACKENDS.filter((name) => name.endsWith('/native'));

// Without the addon there is nothing that could be recycled; the conformance suite fails where DSCONV_REQUIRE wants it.
describe.each(native)('%s', (name) => {
  beforeEach(async () => {
    await selectBackend([name]);
  });
  const backend = () => tf.backend() as DSConvCpuBackend;
  const arrayOf = (x: tf.Tensor): Float32Array => backend().entry(x).floats();
  /** Ones that a kernel here has made. */
  const ones = (): tf.Tensor1D => tf.tidy(() => tf.add(tf.zeros([LENGTH]), 1));
  /** Gives every free array of the length another tensor's values: they stay until the end of the test. */
  const reuse = (): void => {
    for (let n = 0; n < 8; n++) tf.mul(tf.fill([LENGTH], 3), 3);
  };
  const allOnes = (found: ArrayLike<number>) => Array.from(found).every((value) => value === 1);

  test('a tensor is made in the memory of one that is gone', () => {
    const x = ones();
    const array = arrayOf(x);
    x.dispose();
    expect(tf.memory()).toHaveProperty('numBytesFree');
    const y = ones();
    expect(arrayOf(y)).toBe(array);
    y.dispose();
  });

  test.each<[string, (x: tf.Tensor1D) => ArrayLike<number> | Promise<ArrayLike<number>>]>([
    ['dataSync', (x) => x.dataSync()],
    ['data', (x) => x.data()],
    ['buffer', async (x) => (await x.buffer()).values],
    ['bufferSync', (x) => x.bufferSync().values],
    ["the backend's read", (x) => backend().readSync(x.dataId) as Float32Array],
    ['a typed array seen through a reshape', (x) => tf.reshape(x, [2, LENGTH / 2]).dataSync()],
  ])('what was read by %s does not change when the tensor is gone', async (_, read) => {
    const x = ones();
    const found = await read(x);
    tf.tidy(() => {
      x.dispose();
      reuse();
      expect(allOnes(found)).toBe(true);
    });
  });

  test.each<[string, (x: tf.Tensor1D) => tf.Tensor]>([
    ['clone', (x) => tf.clone(x)],
    ['reshape', (x) => tf.reshape(x, [64, LENGTH / 64])],
    ['cast', (x) => tf.cast(x, 'float32')],
    ['slice', (x) => tf.slice(x, 0, LENGTH)],
    [
      'slice of 7 axes',
      (x) => tf.slice(tf.reshape(x, [1, 1, 1, 1, 1, 2, LENGTH / 2]), [0, 0, 0, 0, 0, 1, 0]),
    ],
    ['expandDims', (x) => tf.expandDims(x)],
    ['split', (x) => tf.split(x, 2)[1]!],
    ['unstack', (x) => tf.unstack(tf.reshape(x, [2, LENGTH / 2]))[0]!],
    ['reverse', (x) => tf.reverse(x)],
    ['variable', (x) => tf.variable(x, false)],
    ['real', (x) => tf.real(tf.complex(x, tf.zerosLike(x)))],
    ['imag', (x) => tf.imag(tf.complex(tf.zerosLike(x), x))],
    ['identity of a complex number', (x) => tf.real(tf.clone(tf.complex(x, x)))],
  ])('%s outlives the tensor it was made of', (_, make) => {
    const x = ones();
    const y = tf.tidy(() => make(x));
    tf.tidy(() => {
      x.dispose();
      reuse();
      expect(allOnes(y.dataSync())).toBe(true);
    });
    y.dispose();
  });

  test('a tensor that moved to another backend keeps its values, and so does what is left behind', async () => {
    const x = ones();
    await tf.setBackend('cpu');
    const y = tf.add(x, 0);
    await selectBackend([name]);
    tf.tidy(() => {
      reuse();
      expect(allOnes(y.dataSync())).toBe(true);
      expect(allOnes(x.dataSync())).toBe(true);
    });
    tf.dispose([x, y]);
  });

  test("an array of the program's own is never another tensor's", () => {
    const own = new Float32Array(LENGTH).fill(1);
    const x = tf.tensor1d(own);
    const variable = tf.variable(tf.tensor1d(own), false);
    tf.add(x, 1).dispose();
    variable.assign(ones());
    tf.tidy(() => {
      x.dispose();
      reuse();
      expect(allOnes(own)).toBe(true);
      expect(allOnes(variable.dataSync())).toBe(true);
    });
    variable.dispose();
  });

  test('the input of a plan under way may be disposed of', async () => {
    const plan = await compile(
      (x: tf.Tensor) => tf.mul(tf.relu(x as tf.Tensor4D), 2),
      tf.zeros([1, 64, 8, 8]),
    );
    const x = tf.reshape(ones(), [1, 64, 8, 8]);
    const running = plan.run(x);
    tf.tidy(() => {
      x.dispose();
      reuse();
    });
    const y = (await running) as tf.Tensor;
    expect(Array.from(y.dataSync()).every((value) => value === 2)).toBe(true);
    y.dispose();
    plan.dispose();
  });

  test('a tensor that is disposed of twice is free once', () => {
    const x = ones();
    x.dispose();
    x.dispose();
    backend().disposeData(x.dataId);
    const [y, z] = [ones(), ones()];
    expect(arrayOf(y)).not.toBe(arrayOf(z));
    tf.dispose([y, z]);
  });

  test('a kernel that fails leaves its output to the next one, and that alone', () => {
    const fail = () =>
      backend().fill([LENGTH], () => {
        throw new Error('no');
      });
    expect(fail).toThrow('no');
    const [y, z] = [ones(), ones()];
    expect(arrayOf(y)).not.toBe(arrayOf(z));
    expect(allOnes(y.dataSync())).toBe(true);
    tf.dispose([y, z]);
  });

  const image = (seed: number, channels = 24) => tensor([2, 12, 10, channels], seed) as tf.Tensor4D;
  const filter = (seed: number, outputs = 20) => tensor([3, 3, 24, outputs], seed) as tf.Tensor4D;
  const quantized = quantizeFilter(values(9 * 24 * 20, 3), [3, 3, 24, 20], { bits: 4, blockSize: 8 });
  const gradient = (f: (x: tf.Tensor) => tf.Tensor) => (): tf.Tensor => tf.grad(f)(image(1));
  test.each<[string, () => tf.Tensor]>([
    ['conv2d', () => tf.conv2d(image(1), filter(2), 1, 'same')],
    ['conv2d with strides beyond its window', () => tf.conv2d(image(1), filter(2), 5, 'same')],
    ['depthwise', () => tf.depthwiseConv2d(image(1), filter(2, 2), 1, 'same')],
    ['gradient of conv2d', gradient((x) => tf.conv2d(x as tf.Tensor4D, filter(2), 2, 'valid'))],
    ['of strides beyond the window', gradient((x) => tf.conv2d(x as tf.Tensor4D, filter(2), 5, 'valid'))],
    ['by the filter', () => tf.grad((w) => tf.conv2d(image(1), w as tf.Tensor4D, 2, 'same'))(filter(2))],
    [
      'depthwise, by the input',
      gradient((x) => tf.depthwiseConv2d(x as tf.Tensor4D, filter(2, 2), 4, 'valid')),
    ],
    [
      'depthwise, by the filter',
      () =>
        tf.grad((w) => tf.depthwiseConv2d(image(1, 60), w as tf.Tensor4D, 1, 'same'))(
          tensor([3, 3, 60, 2], 2),
        ),
    ],
    ['dsconv2d', () => dsconv2d(image(1), quantized, 1, 'same')],
    ['dsconv2d whose windows lie in the padding', () => dsconv2d(image(1), quantized, 1, 6)],
    ['bfpRound', () => bfpRound(image(1), { bits: 4, blockSize: 8 })],
    ['gradient of bfpRound', gradient((x) => bfpRound(x as tf.Tensor4D, { bits: 4, blockSize: 8 }))],
    ['max pool', () => tf.maxPool(image(1), 3, 1, 'same')],
    ['avg pool', () => tf.avgPool(image(1), 3, 1, 'same')],
    ['gradient of a max pool', gradient((x) => tf.maxPool(x as tf.Tensor4D, 2, 3, 'valid'))],
    ['gradient of an avg pool', gradient((x) => tf.avgPool(x as tf.Tensor4D, 2, 3, 'valid'))],
    ['gradient of a mean', gradient((x) => tf.mean(x, [1, 2]))],
    [
      'pad with zeros',
      () =>
        tf.pad(image(1), [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ]),
    ],
    [
      'pad with a number',
      () =>
        tf.pad(
          image(1),
          [
            [0, 0],
            [1, 2],
            [0, 1],
            [0, 0],
          ],
          7,
        ),
    ],
    ['slice', () => tf.slice(image(1), [0, 1, 2, 0], [2, 9, 7, 24])],
    ['matMul', () => tf.matMul(tensor([70, 33], 1) as tf.Tensor2D, tensor([33, 65], 2) as tf.Tensor2D)],
    [
      'matMul over nothing',
      () => tf.matMul(tf.zeros([70, 0]) as tf.Tensor2D, tf.zeros([0, 65]) as tf.Tensor2D),
    ],
    ['sum', () => tf.sum(tensor([3, 5, 1500], 1), 1)],
    ['mean', () => tf.mean(tensor([2, 5, 6, 1500], 1), [1, 2])],
    ['softmax', () => tf.softmax(tensor([60, 50], 1))],
    ['add', () => tf.add(image(1), tensor([24], 2))],
    ['add per picture', () => tf.add(image(1), tensor([2, 1, 1, 24], 2))],
    ['relu', () => tf.relu(image(1))],
    ['prelu', () => tf.prelu(image(1), tensor([24], 2))],
    ['batchNorm', () => tf.batchNorm(image(1), tf.zeros([24]), tf.ones([24]))],
  ])('%s writes all of its output', (_, run) => {
    const wanted = tf.tidy(() => run().dataSync());
    // Whatever length the kernel takes next: garbage of all lengths that it has made.
    const lengths = [wanted.length, ...[image(1), filter(2), filter(2, 2)].map(({ size }) => size)];
    for (const length of lengths) {
      const garbage = [0, 1, 2].map(() => backend().output([length]));
      for (const { info, operand } of garbage) {
        (operand as Float32Array).fill(NaN);
        backend().disposeData(info.dataId);
      }
    }
    const y = tf.tidy(run);
    expect(y.dataSync()).toEqual(wanted);
    y.dispose();
  });

  test('training goes the same way in memory that is used again', () => {
    const train = (recycled: boolean): Float32Array =>
      tf.tidy(() => {
        const w = tf.variable(tensor([3, 3, 3, 16], 1) as tf.Tensor4D);
        const x = tensor([4, 16, 16, 3], 2) as tf.Tensor4D;
        const optimizer = tf.train.adam(0.01);
        const kept: tf.Tensor[] = [];
        for (let n = 0; n < 5; n++) {
          const loss = () => {
            const y = tf.relu(tf.conv2d(x, w, 1, 'same'));
            // What was read is not used again.
            if (!recycled) y.dataSync();
            return tf.mean(tf.square(tf.sub(y, 1))) as tf.Scalar;
          };
          kept.push(optimizer.minimize(loss, true, [w])!);
        }
        optimizer.dispose();
        return Float32Array.from([...kept.flatMap((loss) => [...loss.dataSync()]), ...w.dataSync()]);
      });
    expect(train(true)).toEqual(train(false));
  });
});
