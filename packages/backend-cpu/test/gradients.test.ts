/** Gradients of the float convolutions against float64 sums, and training against TensorFlow.js's own CPU backend. */
import { geometryOf, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
// The package that everyone installs, @tensorflow/tfjs, does this; tfjs-core alone has no gradients.
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compare, tensor, values } from './compare.js';
import { ENGINE_BACKENDS } from './tiers.js';

type Shape = [number, number, number, number];
type Pad = 'same' | 'valid' | number | [[0, 0], [number, number], [number, number], [0, 0]];

interface Case {
  input: Shape;
  filter: Shape;
  strides: [number, number];
  dilations: [number, number];
  pad: Pad;
  depthwise: boolean;
}

/** Both gradients in float64 with the sum of |terms| and their number, from the forward loop nest: every product of it is a term of each. */
function reference({ input, filter, strides, dilations, pad, depthwise }: Case) {
  const g = geometryOf({ shape: input }, { shape: filter }, { strides, dilations, pad }, depthwise);
  const output: Shape = [g.batch, g.outHeight, g.outWidth, g.outChannels];
  const [x, w, dy] = [input, filter, output].map((shape, n) => values(tf.util.sizeFromShape(shape), n + 1));
  const sums = (size: number) => ({
    value: new Float64Array(size),
    magnitude: new Float64Array(size),
    terms: new Float64Array(size),
  });
  const [dx, dw] = [sums(x!.length), sums(w!.length)];
  const add = (to: ReturnType<typeof sums>, at: number, term: number) => {
    to.value[at]! += term;
    to.magnitude[at]! += Math.abs(term);
    to.terms[at]! += 1;
  };
  const [inner, last] = [filter[2], filter[3]];
  for (let yi = 0; yi < dy!.length; yi++) {
    const o = yi % g.outChannels;
    const pixel = Math.floor(yi / g.outChannels);
    const column = pixel % g.outWidth;
    const row = Math.floor(pixel / g.outWidth) % g.outHeight;
    const n = Math.floor(pixel / (g.outWidth * g.outHeight));
    for (let tap = 0; tap < g.kernelHeight * g.kernelWidth; tap++) {
      const h = row * g.strideHeight + Math.floor(tap / g.kernelWidth) * g.dilationHeight - g.padTop;
      const c = column * g.strideWidth + (tap % g.kernelWidth) * g.dilationWidth - g.padLeft;
      if (h < 0 || h >= g.inHeight || c < 0 || c >= g.inWidth) continue;
      const at = ((n * g.inHeight + h) * g.inWidth + c) * g.inChannels;
      const depths = depthwise ? [Math.floor(o / last)] : Array.from({ length: inner }, (_, i) => i);
      for (const i of depths) {
        const wi = (tap * inner + i) * last + (depthwise ? o % last : o);
        add(dx, at + i, dy![yi]! * w![wi]!);
        add(dw, wi, dy![yi]! * x![at + i]!);
      }
    }
  }
  return { output, tensors: { x: x!, w: w!, dy: dy! }, dx, dw };
}

/** Runs the kernels themselves: `tf.grads` refuses dilations and explicit padding, which the kernels take. */
function check(c: Case): void {
  const { input, filter, strides, dilations, pad, depthwise } = c;
  const wanted = reference(c);
  const kernel = depthwise ? 'DepthwiseConv2dNativeBackprop' : 'Conv2DBackprop';
  const attrs = { strides, dilations, pad, dataFormat: 'NHWC' };
  tf.tidy(() => {
    const x = tf.tensor(wanted.tensors.x, input);
    const w = tf.tensor(wanted.tensors.w, filter);
    const dy = tf.tensor(wanted.tensors.dy, wanted.output);
    const { runKernel } = tf.engine();
    const run = runKernel.bind(tf.engine()) as (name: string, inputs: object, attrs: object) => tf.Tensor;
    const dx = run(`${kernel}Input`, { dy, filter: w }, { ...attrs, inputShape: input });
    const dw = run(`${kernel}Filter`, { x, dy }, { ...attrs, filterShape: filter });
    expect(dx.shape).toEqual(input);
    expect(dw.shape).toEqual(filter);
    for (const [name, found, sums] of [
      ['input', dx.dataSync(), wanted.dx],
      ['filter', dw.dataSync(), wanted.dw],
    ] as const) {
      for (let n = 0; n < found.length; n++) {
        const bound = 4 * sums.terms[n]! * 2 ** -24 * sums.magnitude[n]!;
        const difference = Math.abs(found[n]! - sums.value[n]!);
        if (!(difference <= bound)) {
          expect.fail(
            `gradient ${n} by the ${name} is ${found[n]}; expected ${sums.value[n]} within ${bound}`,
          );
        }
      }
    }
  });
}

const size = fc.integer({ min: 1, max: 8 });
const window = fc.integer({ min: 1, max: 4 });
const step = fc.integer({ min: 1, max: 3 });
const border = fc.integer({ min: 0, max: 2 });

function cases(depthwise: boolean, mostDilation: number): fc.Arbitrary<Case> {
  const dilation = fc.integer({ min: 1, max: mostDilation });
  const explicit = fc.tuple(border, border, border, border).map(
    ([t, b, l, r]): Pad => [
      [0, 0],
      [t, b],
      [l, r],
      [0, 0],
    ],
  );
  return fc
    .record({
      input: fc.tuple(fc.integer({ min: 1, max: 2 }), size, size, fc.integer({ min: 1, max: 19 })),
      kernel: fc.tuple(window, window),
      outputs: fc.integer({ min: 1, max: depthwise ? 3 : 35 }),
      strides: fc.tuple(step, step),
      dilations: fc.tuple(dilation, dilation),
      pad: fc.oneof(fc.constantFrom<Pad>('same', 'valid'), explicit),
    })
    .map(({ input, kernel, outputs, strides, dilations, pad }): Case => {
      const ones: [number, number] = [1, 1];
      // As everywhere in TensorFlow.js, either strides or dilations.
      const dilated = dilations.some((d) => d > 1);
      const filter: Shape = [...kernel, input[3], outputs];
      return { input, filter, strides: dilated ? ones : strides, dilations, pad, depthwise };
    })
    .filter(({ input, filter, dilations, pad }) => {
      const [top, bottom, left, right] = Array.isArray(pad) ? [...pad[1], ...pad[2]] : [0, 0, 0, 0];
      const fits = (axis: 0 | 1, padding: number) =>
        input[axis + 1]! + padding > (filter[axis] - 1) * dilations[axis];
      return pad === 'same' || (fits(0, top! + bottom!) && fits(1, left! + right!));
    });
}

describe.each(ENGINE_BACKENDS)('%s', (name) => {
  const run = { numRuns: 60 };
  const native = name.endsWith('/native');

  test('gradients of conv2d', async () => {
    await selectBackend([name]);
    fc.assert(fc.property(cases(false, 1), check), run);
  });

  test('gradients of depthwiseConv2d', async () => {
    await selectBackend([name]);
    // TensorFlow.js's own kernels, which serve the other tiers, leave dilations out.
    fc.assert(fc.property(cases(true, native ? 3 : 1), check), run);
  });

  test('shapes of networks', async () => {
    await selectBackend([name]);
    const base = { strides: [1, 1], dilations: [1, 1], pad: 'same', depthwise: false } as const;
    const copy = (c: object) => check({ ...base, ...c } as unknown as Case);
    copy({ input: [2, 9, 7, 64], filter: [1, 1, 64, 48] });
    copy({ input: [1, 13, 13, 33], filter: [3, 3, 33, 40], strides: [2, 2] });
    copy({ input: [1, 20, 20, 3], filter: [7, 7, 3, 20], strides: [2, 2] });
    copy({ input: [2, 11, 10, 40], filter: [3, 3, 40, 1], strides: [2, 2], depthwise: true });
  });

  test('conv2dTranspose', async () => {
    await compare(
      name,
      () =>
        tf.conv2dTranspose(
          tensor([2, 4, 5, 6], 1) as tf.Tensor4D,
          tensor([3, 3, 7, 6], 2) as tf.Tensor4D,
          [2, 9, 11, 7],
          2,
          'valid',
        ),
      54,
    );
  });

  test('tf.grads through the layers of a network', async () => {
    const layers: [string, number[][], (...inputs: tf.Tensor[]) => tf.Tensor][] = [
      [
        'conv2d',
        [
          [2, 7, 6, 5],
          [3, 3, 5, 9],
        ],
        (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, 'same'),
      ],
      [
        'depthwise',
        [
          [2, 7, 6, 5],
          [3, 3, 5, 2],
        ],
        (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'valid'),
      ],
      [
        'batch norm',
        [[2, 4, 3, 5], [5], [5]],
        (x, scale, offset) => {
          const { mean, variance } = tf.moments(x!, [0, 1, 2]);
          return tf.batchNorm(x!, mean, variance, offset, scale);
        },
      ],
      [
        'pooling',
        [[2, 7, 6, 5]],
        (x) => tf.avgPool(tf.maxPool(x as tf.Tensor4D, 3, 1, 'same'), 2, 2, 'valid'),
      ],
      ['mean', [[2, 7, 6, 5]], (x) => tf.mean(x!, [1, 2])],
      ['activations', [[4, 30]], (x) => tf.softmax(tf.tanh(tf.relu6(tf.sigmoid(x!))))],
      ['prelu', [[4, 30], [30]], (x, slopes) => tf.prelu(x!, slopes!)],
      [
        'dense',
        [
          [4, 30],
          [30, 7],
        ],
        (x, w) => tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D),
      ],
      ['division', [[4, 30], [30]], (x, y) => tf.div(tf.maximum(x!, 0.1), tf.add(tf.exp(y!), 1))],
    ];
    for (const [, shapes, body] of layers) {
      for (let by = 0; by < shapes.length; by++) {
        await compare(
          name,
          () => {
            const inputs = shapes.map((shape, n) => tensor(shape, 30 + n));
            const y = body(...inputs);
            return tf.grads(body)(inputs, tensor(y.shape, 40))[by]!;
          },
          128,
        );
      }
    }
  });

  test('training gives the weights that it gives on the stock backend', async () => {
    const wanted = await train('cpu');
    const found = await train(name);
    // It learned something, so that equal weights mean more than that none moved.
    expect(wanted.losses.at(-1)!).toBeLessThan(0.95 * wanted.losses[0]!);
    found.losses.forEach((loss, n) => {
      expect(Math.abs(loss - wanted.losses[n]!)).toBeLessThan(1e-3);
    });
    found.weights.forEach((weights, n) => {
      const worst = weights.reduce((w, v, i) => Math.max(w, Math.abs(v - wanted.weights[n]![i]!)), 0);
      expect(worst, `variable ${n}`).toBeLessThan(1e-3);
    });
  });
});

/** Some steps of momentum on a network of every kind of layer. */
async function train(backend: string) {
  await (backend === 'cpu' ? tf.setBackend('cpu') : selectBackend([backend]));
  const variable = (shape: number[], seed: number, scale: number) =>
    tf.variable(tf.mul(tensor(shape, seed), scale));
  const w = [
    variable([3, 3, 3, 8], 1, 0.4),
    variable([8], 2, 0.1),
    variable([3, 3, 8, 1], 3, 0.4),
    variable([1, 1, 8, 12], 4, 0.4),
    variable([12, 4], 5, 0.4),
    variable([4], 6, 0.1),
    tf.variable(tf.ones([8])),
    tf.variable(tf.zeros([8])),
  ];
  const x = tensor([8, 12, 11, 3], 7) as tf.Tensor4D;
  const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 3, 0, 1, 2, 3], 'int32'), 4);
  const loss = () => {
    let y = tf.relu(tf.add(tf.conv2d(x, w[0] as tf.Tensor4D, 1, 'same'), w[1]!)) as tf.Tensor4D;
    y = tf.maxPool(y, 2, 2, 'same');
    y = tf.relu6(tf.depthwiseConv2d(y, w[2] as tf.Tensor4D, 1, 'same'));
    const { mean, variance } = tf.moments(y, [0, 1, 2]);
    y = tf.batchNorm(
      y,
      mean as tf.Tensor1D,
      variance as tf.Tensor1D,
      w[6] as tf.Tensor1D,
      w[7] as tf.Tensor1D,
    );
    y = tf.avgPool(tf.conv2d(y, w[3] as tf.Tensor4D, 2, 'same'), 2, 1, 'valid');
    const logits = tf.add(tf.matMul(tf.mean(y, [1, 2]) as tf.Tensor2D, w[4] as tf.Tensor2D), w[5]!);
    return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
  };
  const optimizer = tf.train.momentum(0.1, 0.9);
  const losses: number[] = [];
  for (let turn = 0; turn < 20; turn++) {
    const cost = optimizer.minimize(loss, true, w)!;
    losses.push(cost.dataSync()[0]!);
    cost.dispose();
  }
  const weights = w.map((v) => Array.from(v.dataSync()));
  tf.dispose([...w, x, labels]);
  optimizer.dispose();
  return { losses, weights };
}
