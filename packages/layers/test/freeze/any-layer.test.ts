/** One trainable layer of any kind, with any normalization and activation behind it: frozen, it computes the same. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { FrozenLayer } from '@dsconv/converter/runtime-layers';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { dsConv2d, dsConvBlock, dsDepthwiseConv2d, freeze } from '../../src/index.js';
import { floats } from '../support.js';
import { judge } from './court.js';

beforeAll(() => tf.setBackend(BACKEND_NAME));

const layers = fc.record({
  kind: fc.constantFrom('conv', 'depthwise', 'block'),
  kernelSize: fc.integer({ min: 1, max: 3 }),
  strides: fc.integer({ min: 1, max: 2 }),
  dilationRate: fc.integer({ min: 1, max: 2 }),
  padding: fc.constantFrom('same' as const, 'valid' as const, 1),
  groups: fc.constantFrom(1, 2),
  depth: fc.constantFrom(3, 16, 20),
  bits: fc.integer({ min: 2, max: 8 }),
  blockSize: fc.constantFrom(8, 16, 64),
  activationBits: fc.constantFrom(8, 5, null),
  scaleFormat: fc.constantFrom('float16' as const, 'float32' as const),
  shifters: fc.constantFrom(
    {},
    { perChannel: true },
    { kdsBias: true },
    { cds: true },
    { kdsBias: true, cds: true },
  ),
  useBias: fc.boolean(),
  norm: fc.constantFrom(null, {}, { scale: false }, { center: false }, { axis: 3, epsilon: 1e-2 }),
  activation: fc.constantFrom(null, 'relu', 'relu6', 'swish'),
  border: fc.boolean(),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

type Wanted = typeof layers extends fc.Arbitrary<infer T> ? T : never;

function modelOf(wanted: Wanted): tfl.LayersModel {
  const { kind, groups, depth, shifters, useBias, norm, activation, border, seed: _, ...args } = wanted;
  const channels = depth * groups;
  const { kernelSize, strides, dilationRate, padding, bits, blockSize, activationBits, scaleFormat } = args;
  const common = { kernelSize, strides, dilationRate, padding, bits, blockSize, activationBits, scaleFormat };
  const shape = { inputShape: [7, 7, channels] };
  const full = { ...common, filters: 6, groups, perChannel: false, ...shifters };
  const model = tfl.sequential();
  if (border)
    model.add(
      tfl.layers.zeroPadding2d({
        padding: [
          [0, 1],
          [2, 0],
        ],
        ...shape,
      }),
    );
  const own = border ? {} : shape;
  if (kind === 'conv') model.add(dsConv2d({ ...full, useBias, ...own }));
  else if (kind === 'depthwise')
    model.add(dsDepthwiseConv2d({ ...common, depthMultiplier: groups, useBias, ...own }));
  else model.add(dsConvBlock({ ...full, activation: activation === 'relu6' ? 'linear' : 'swish', ...own }));
  if (norm) model.add(tfl.layers.batchNormalization(norm));
  if (activation) model.add(tfl.layers.activation({ activation: activation as 'relu' }));
  return model;
}

/** Numbers of any sign where training would have left some; variances stay positive. */
function move(model: tfl.LayersModel, seed: number): void {
  for (const [n, weight] of model.weights.entries()) {
    const [name, shape] = [weight.originalName.split('/').at(-1)!, weight.shape as number[]];
    const size = shape.reduce((a, b) => a * b, 1);
    const noise = tf.tensor(floats(size, seed + n), shape);
    if (name.endsWith('kernel')) continue;
    if (name.endsWith('variance')) weight.write(tf.add(tf.abs(noise), 0.1));
    else if (name === 'gamma') weight.write(tf.mul(noise, 2));
    else if (name === 'kds') weight.write(tf.mul(weight.read(), tf.add(1, tf.mul(noise, 0.2))));
    else if (name === 'cds') weight.write(tf.add(1, tf.mul(noise, 0.3)));
    else weight.write(tf.mul(noise, name === 'kds_bias' || name === 'cds_bias' ? 0.02 : 0.5));
  }
}

test('whatever the layer, every output is within the bound, and nothing is left behind', async () => {
  let folded = 0;
  await fc.assert(
    fc.asyncProperty(layers, async (wanted) => {
      const before = tf.memory().numTensors;
      const trained = modelOf(wanted);
      tf.tidy(() => move(trained, wanted.seed));
      const frozen = await freeze(trained);
      tf.tidy(() => {
        const x = tf.tensor4d(floats(2 * 49 * wanted.depth * wanted.groups, wanted.seed, 3), [
          ...[2, 7, 7, wanted.depth * wanted.groups],
        ] as [number, number, number, number]);
        const made = frozen.layers.find((layer) => layer instanceof FrozenLayer)!;
        folded += trained.layers.length - frozen.layers.length;
        const source = (made.input as tfl.SymbolicTensor).sourceLayer;
        // A border that is not the layer's padding stays a layer before it.
        const reads = source.getClassName() === 'ZeroPadding2D' ? (source.apply(x) as tf.Tensor4D) : x;
        const end = trained.getLayer(made.name).output as tfl.SymbolicTensor;
        const y = tfl.model({ inputs: trained.inputs, outputs: end }).predict(x) as tf.Tensor;
        const court = judge(reads, made, trained);
        court.trained(Float32Array.from(y.dataSync()), `${made.name}, trained`);
        const z = made.apply(reads) as tf.Tensor;
        expect(z.shape).toEqual(y.shape);
        court.frozen(Float32Array.from(z.dataSync()), `${made.name}, frozen`);
      });
      frozen.dispose();
      trained.dispose();
      expect(tf.memory().numTensors).toBe(before);
    }),
    { numRuns: 60 },
  );
  expect(folded).toBeGreaterThan(20);
});
