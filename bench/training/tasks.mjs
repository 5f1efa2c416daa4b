/** What is trained: each task makes a step of its own on the backend that is current then. */
import * as tf from '@tensorflow/tfjs';
import { quantizeNetwork } from '../../packages/converter/dist/index.js';
import { labelLoss, TrainableNetwork } from '../../packages/layers/dist/index.js';
import { randomNetwork } from '../random-network.mjs';

/** Weights follow from it; pictures are sines of their pixels' numbers. */
export const SEED = 1;
const SIDE = 32;
const PIXELS = SIDE * SIDE * 3;
const CLASSES = 10;

/** The CIFAR ResNet-20 with random weights, at 4 bits. */
export async function network() {
  const options = { bits: 4, blockSize: 64, biasCorrection: false };
  return (await quantizeNetwork(randomNetwork('resnet20.cifar10', SEED), options)).network;
}

/** Pictures for `finetune`. */
export function pictures(count) {
  return {
    count,
    shape: [SIDE, SIDE, 3],
    read: (n, to) => {
      for (let i = 0; i < PIXELS; i++) to[i] = Math.sin((n * PIXELS + i) * 0.37) * 2;
    },
    label: (n) => n % CLASSES,
  };
}

function batchOf(count) {
  const { read, label } = pictures(count);
  const pixels = new Float32Array(count * PIXELS);
  const labels = Int32Array.from({ length: count }, (_, n) => label(n));
  for (let n = 0; n < count; n++) read(n, pixels.subarray(n * PIXELS, (n + 1) * PIXELS));
  return { pixels, labels };
}

/** The network with Adam; `choose` says which of its variables are trained. */
async function networkStep(batch, choose) {
  const student = new TrainableNetwork(await network());
  const { pixels, labels: classes } = batchOf(batch);
  const x = tf.tensor4d(pixels, [batch, SIDE, SIDE, 3]);
  const labels = tf.tensor1d(classes, 'int32');
  const optimizer = tf.train.adam(1e-4);
  const trained = [...student.state].flatMap(([name, variable]) =>
    choose(name) && student.trainable.includes(variable) ? [variable] : [],
  );
  return async () => {
    const loss = () => labelLoss(student.logits(x, { training: true }), labels);
    const { value, grads } = tf.variableGrads(loss, trained);
    optimizer.applyGradients(grads);
    const [found] = await value.data();
    tf.dispose([value, grads]);
    return found;
  };
}

/** A network without convolutions, made of TensorFlow.js's own layers. */
async function denseStep(batch) {
  const dense = (units, more) =>
    tf.layers.dense({ units, kernelInitializer: tf.initializers.glorotUniform({ seed: SEED }), ...more });
  const model = tf.sequential({
    layers: [
      dense(512, { activation: 'relu', inputShape: [PIXELS] }),
      dense(512, { activation: 'relu' }),
      dense(CLASSES, { activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(1e-4), loss: 'categoricalCrossentropy' });
  const { pixels, labels } = batchOf(batch);
  const x = tf.tensor2d(pixels, [batch, PIXELS]);
  const y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES), 'float32'));
  return () => model.trainOnBatch(x, y);
}

export const TASKS = {
  network: { name: 'ResNet-20, all weights', step: (batch) => networkStep(batch, () => true) },
  biases: {
    name: 'ResNet-20, biases alone',
    step: (batch) => networkStep(batch, (name) => name.endsWith('/bias')),
  },
  dense: { name: 'dense layers 3072, 512, 512, 10', step: denseStep },
};
