/** Small models with every form of a trainable layer, after real steps of `model.fit`. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { dsConv2d, dsConvBlock, dsDepthwiseConv2d } from '../../src/index.js';
import { floats } from '../support.js';

const normal = (seed: number) => tfl.initializers.heNormal({ seed });

/** Per-channel, depthwise and per-block filters, normalizations and activations behind them. */
export function sequentialModel(activationBits: number | null = 8): tfl.LayersModel {
  return tfl.sequential({
    name: 'line',
    layers: [
      dsConv2d({
        ...{ filters: 16, kernelSize: 3, padding: 1, activation: 'relu', inputShape: [8, 8, 3] },
        ...{ bits: 8, activationBits, kernelInitializer: normal(1), name: 'stem' },
      }),
      dsDepthwiseConv2d({
        ...{ kernelSize: 3, strides: 2, padding: 'same', depthMultiplier: 2, blockSize: 8, activationBits },
        ...{ depthwiseInitializer: normal(2), name: 'dw' },
      }),
      tfl.layers.batchNormalization({ name: 'dw_norm' }),
      tfl.layers.reLU({ maxValue: 6, name: 'dw_relu' }),
      dsConv2d({
        ...{ filters: 12, kernelSize: 1, bits: 3, blockSize: 12, activationBits, useBias: false },
        ...{ kernelInitializer: normal(3), name: 'point' },
      }),
      tfl.layers.batchNormalization({ name: 'point_norm' }),
      tfl.layers.activation({ activation: 'swish', name: 'point_swish' }),
      dsConv2d({
        ...{ filters: 20, kernelSize: 2, bits: 4, blockSize: 16, perChannel: true, activationBits },
        ...{ kernelInitializer: normal(4), name: 'whole' },
      }),
      tfl.layers.batchNormalization({ name: 'whole_norm' }),
      tfl.layers.globalAveragePooling2d({ name: 'pooled' }),
      tfl.layers.dense({ units: 4, kernelInitializer: normal(5), name: 'logits' }),
    ],
  });
}

/** A residual sum, blocks with SiLU, groups, dilation, shifters, learned and frozen scales, a border of zeros, an activation that no operator has, a layer used twice. */
export function functionalModel(activationBits: number | null = 8): tfl.LayersModel {
  const put = (layer: tfl.layers.Layer, ...x: tfl.SymbolicTensor[]): tfl.SymbolicTensor =>
    layer.apply(x.length === 1 ? x[0]! : x) as tfl.SymbolicTensor;
  const input = tfl.input({ shape: [8, 8, 3], name: 'picture' });
  const stem = put(
    dsConvBlock({
      ...{ filters: 32, kernelSize: 3, bits: 8, activationBits },
      ...{ kernelInitializer: normal(1), name: 'stem' },
    }),
    input,
  );
  const grouped = put(
    dsConv2d({
      ...{ filters: 32, kernelSize: 3, padding: 'same', groups: 2, bits: 4, blockSize: 8, activationBits },
      ...{
        perChannel: false,
        kernelInitializer: normal(2),
        biasInitializer: 'randomNormal',
        name: 'grouped',
      },
    }),
    stem,
  );
  const normed = put(tfl.layers.batchNormalization({ name: 'grouped_norm', epsilon: 1e-5 }), grouped);
  const active = put(tfl.layers.activation({ activation: 'relu', name: 'grouped_relu' }), normed);
  const shifted = put(
    dsConv2d({
      ...{ filters: 32, kernelSize: 3, padding: 2, dilationRate: 2, bits: 2, blockSize: 12, activationBits },
      ...{ kdsBias: true, cds: true, kernelInitializer: normal(3), name: 'shifted' },
    }),
    active,
  );
  const shiftedNorm = put(tfl.layers.batchNormalization({ name: 'shifted_norm' }), shifted);
  const sum = put(tfl.layers.add({ name: 'sum' }), shiftedNorm, stem);
  const sumActive = put(tfl.layers.reLU({ name: 'sum_relu' }), sum);
  const block = put(
    dsConvBlock({
      ...{ filters: 24, kernelSize: 3, strides: 2, bits: 3, blockSize: 16, groups: 2, scales: 'learned' },
      ...{ perChannel: false, activationBits: activationBits && 6, cds: true, scaleFormat: 'float32' },
      ...{ kernelInitializer: normal(4), name: 'block' },
    }),
    sumActive,
  );
  const bordered = put(
    tfl.layers.zeroPadding2d({
      padding: [
        [1, 0],
        [2, 1],
      ],
      name: 'border',
    }),
    block,
  );
  const outer = put(
    dsConv2d({
      ...{
        filters: 16,
        kernelSize: 3,
        strides: [2, 1],
        activation: 'sigmoid',
        scales: 'frozen',
        blockSize: 24,
      },
      ...{ activationBits, kernelInitializer: normal(5), name: 'outer' },
    }),
    bordered,
  );
  const shared = dsConv2d({
    ...{ filters: 16, kernelSize: 1, scales: 'learned', blockSize: 8, activationBits },
    ...{ kernelInitializer: normal(6), name: 'shared' },
  });
  const twice = put(shared, put(shared, outer));
  const pooled = put(tfl.layers.globalAveragePooling2d({ name: 'pooled' }), twice);
  const logits = put(tfl.layers.dense({ units: 4, kernelInitializer: normal(7), name: 'logits' }), pooled);
  return tfl.model({ inputs: input, outputs: logits, name: 'graph' });
}

export const pictures = (count: number, seed = 5): tf.Tensor4D =>
  tf.tensor4d(floats(count * 8 * 8 * 3, seed, 1.5), [count, 8, 8, 3]);

/** Pictures and their random labels. */
export function lesson(): [tf.Tensor, tf.Tensor] {
  const labels = Array.from({ length: 24 }, (_, n) => n % 4);
  return [pictures(24), tf.oneHot(labels, 4)];
}

/** A few steps on random labels, then normalizations whose factors have both signs and are 0 once. */
export async function train(model: tfl.LayersModel): Promise<void> {
  model.compile({ optimizer: tf.train.adam(0.01), loss: tf.losses.softmaxCrossEntropy });
  const [x, y] = lesson();
  await model.fit(x, y, { epochs: 3, batchSize: 8, shuffle: false });
  tf.dispose([x, y]);
  tf.tidy(() => {
    for (const weight of model.weights) {
      if (!weight.originalName.endsWith('gamma')) continue;
      const signs = Array.from({ length: weight.shape[0] as number }, (_, n) =>
        n === 2 ? 0 : n % 3 ? 1 : -1,
      );
      weight.write(tf.mul(weight.read(), tf.tensor1d(signs)));
    }
  });
}
