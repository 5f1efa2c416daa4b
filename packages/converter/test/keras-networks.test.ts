/** MobileNet v1 against TensorFlow.js' own layers on the same parameters: names, folding, padding and the whole forward function. */
import { join } from 'node:path';
import { type Architecture, createArchitecture } from '@dsconv/models';
import { setBackend, type Tensor, type Tensor4D, tensor, tensor4d } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { readFloatNetwork } from '../src/index.js';
import { scratchFolder } from './support/scratch-folder.js';
import { mobileNetModel, sourceTensors, writeLayersModel } from './support/source-files.js';

const scratch = scratchFolder();

beforeAll(async () => {
  await setBackend('wasm');
});

/** Strides and channels of the thirteen blocks at width 1, from the paper's table 1. */
const BLOCKS = [
  [1, 64],
  [2, 128],
  [1, 128],
  [2, 256],
  [1, 256],
  [2, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [2, 1024],
  [1, 1024],
] as const;

/** keras.applications.MobileNet, as far as inference needs it; ε as in the files that the test writes. */
function kerasMobileNet(width: number, side: number, classes: number): tf.Sequential {
  const model = tf.sequential();
  const add = (layer: tf.layers.Layer): void => model.add(layer);
  const norm = (name: string): void => {
    add(tf.layers.batchNormalization({ name: `${name}_bn`, epsilon: 0.002 }));
    add(tf.layers.reLU({ name: `${name}_relu`, maxValue: 6 }));
  };
  const shared = { useBias: false, padding: 'same' as const };
  add(
    tf.layers.conv2d({
      ...shared,
      name: 'conv1',
      inputShape: [side, side, 3],
      filters: Math.floor(32 * width),
      kernelSize: 3,
      strides: 2,
    }),
  );
  norm('conv1');
  BLOCKS.forEach(([strides, channels], n) => {
    add(tf.layers.depthwiseConv2d({ ...shared, name: `conv_dw_${n + 1}`, kernelSize: 3, strides }));
    norm(`conv_dw_${n + 1}`);
    const filters = Math.floor(channels * width);
    add(tf.layers.conv2d({ ...shared, name: `conv_pw_${n + 1}`, filters, kernelSize: 1 }));
    norm(`conv_pw_${n + 1}`);
  });
  add(tf.layers.globalAveragePooling2d({}));
  add(tf.layers.reshape({ targetShape: [1, 1, Math.floor(1024 * width)] }));
  add(tf.layers.conv2d({ name: 'conv_preds', filters: classes, kernelSize: 1, padding: 'same' }));
  add(tf.layers.flatten({}));
  return model;
}

/** Keras' order of a layer's weights. */
const WEIGHTS: Readonly<Record<string, readonly string[]>> = {
  Conv2D: ['kernel', 'bias'],
  DepthwiseConv2D: ['depthwise_kernel'],
  BatchNormalization: ['gamma', 'beta', 'moving_mean', 'moving_variance'],
};

function setWeights(model: tf.Sequential, architecture: Architecture): void {
  const tensors = sourceTensors(architecture);
  for (const layer of model.layers) {
    const names = (WEIGHTS[layer.getClassName()] ?? []).map((name) => `${layer.name}/${name}`);
    const values = names.flatMap((name): Tensor[] => {
      const found = tensors.get(name);
      return found ? [tensor(found.data as Float32Array, [...found.shape])] : [];
    });
    layer.setWeights(values);
  }
}

describe('equal to TensorFlow.js layers on the same parameters', () => {
  it.each([
    [1, 224, 1, 1000, 'same'],
    [0.75, 96, 2, 10, 'zero-padding'],
    [0.5, 65, 3, 7, 'same'],
    [0.25, 161, 2, 10, 'same'],
    [0.25, 33, 1, 5, 'same'],
    [0.35, 40, 2, 5, 'same'],
    [1.3, 35, 1, 5, 'same'],
  ] as const)(
    'width %d, %i pixels, batch %i, %i classes, %s',
    async (width, side, batch, classes, padding) => {
      const name = `mobilenet_v1_${Number.isInteger(width) ? width.toFixed(1) : width}`;
      const architecture = createArchitecture({ name, inputSize: side, classes });
      const folder = join(scratch, `${name}-${side}`);
      writeLayersModel(folder, architecture, mobileNetModel(architecture, padding));
      const network = await readFloatNetwork(folder);
      expect(network.architecture).toMatchObject({ name, inputSize: side, classes });
      const model = kerasMobileNet(width, side, classes);
      setWeights(model, architecture);
      expect(model.countParams()).toBe(
        [...sourceTensors(architecture).values()].reduce((sum, { data }) => sum + data.length, 0),
      );
      const values = Float32Array.from({ length: batch * side * side * 3 }, (_, n) =>
        Math.sin(n * 0.37 + n * n * 1e-4),
      );
      const x = tensor4d(values, [batch, side, side, 3]) as Tensor4D;
      const expected = (model.predict(x) as Tensor).dataSync() as Float32Array;
      const logits = network.logits(x);
      expect(logits.shape).toEqual([batch, classes]);
      const found = logits.dataSync() as Float32Array;
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeGreaterThan(0.01);
      // Outputs must differ from class to class, or the comparison would say little.
      expect(new Set(expected).size).toBeGreaterThan(classes / 2);
      const worst = expected.reduce((most, value, n) => Math.max(most, Math.abs(value - found[n]!)), 0);
      expect(worst / largest).toBeLessThan(1e-4);
      network.dispose();
      model.dispose();
    },
  );
});
