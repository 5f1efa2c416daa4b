/** The settings by which the shipped network is retrained in few bits, and trained from scratch: used by ship.mjs and by bench/retraining.mjs. */

import { quantizeNetwork } from '@dsconv/converter';
import { finetune, freshNetwork, TrainableNetwork } from '@dsconv/layers';
import { preprocess } from '@dsconv/models';
import { readPart } from './fashion-mnist.mjs';

export const SEED = 1;

/** By weight bits. */
export const SETTINGS = {
  4: { bits: 4, blockSize: 64, epochs: 1, batchSize: 64, learningRate: 1e-3 },
  3: { bits: 3, blockSize: 64, epochs: 1, batchSize: 64, learningRate: 2e-3 },
  2: { bits: 2, blockSize: 32, epochs: 2, batchSize: 64, learningRate: 3e-3 },
};

/**
 * From random weights, as train_fashion_mnist.py trains the float network. Its decay is part of the gradient there, which momentum makes ten times as much; here it is
 * the share by itself.
 */
export const FROM_SCRATCH = {
  bits: 4,
  blockSize: 64,
  epochs: 16,
  batchSize: 128,
  optimizer: 'momentum',
  learningRate: 0.2,
  warmUp: 0.2,
  weightDecay: 5e-3,
};

/** A part of Fashion-MNIST as a source of preprocessed pictures. */
export function fashionSource(part, preprocessing) {
  const { size, channels } = preprocessing;
  const items = readPart(part);
  const pictures = items.map(({ image }) => preprocess(image, preprocessing));
  return {
    count: pictures.length,
    shape: [size, size, channels],
    read: (n, to) => to.set(pictures[n]),
    label: (n) => items[n].label,
  };
}

/** Clothes are mirrored and moved a little; what moves in is black. */
const augmentation = ({ mean, std }) => ({ shift: 2, mirror: true, fill: mean.map((m, c) => -m / std[c]) });

/** Rounds the float network, and retrains it with the float network as a teacher beside the labels. */
export async function retrain(float, training, bits, hooks = {}) {
  const { bits: weightBits, blockSize, ...options } = SETTINGS[bits];
  const { network } = await quantizeNetwork(float, { bits: weightBits, blockSize, rangeScaling: false });
  const student = new TrainableNetwork(network, { float });
  const common = { source: training, seed: SEED, augmentation: augmentation(float.preprocessing) };
  const result = await finetune(student, { ...common, ...options, teacher: float, ...hooks });
  return finish(network, student, result);
}

/** Trains from random weights, by labels alone. */
export async function trainFromScratch(float, training, settings, hooks = {}) {
  const { bits, blockSize, ...options } = { ...FROM_SCRATCH, ...settings };
  const fresh = freshNetwork(float, { seed: SEED });
  const { network } = await quantizeNetwork(fresh, { bits, blockSize, rangeScaling: false });
  const student = new TrainableNetwork(network, {
    float: fresh,
    batchNorm: 'restored',
    units: options.optimizer === 'adam' ? 'relative' : 'absolute',
  });
  const common = { source: training, seed: SEED, augmentation: augmentation(float.preprocessing) };
  const result = await finetune(student, { ...common, ...options, ...hooks });
  return finish(network, student, result);
}

/** The network before and after, once training is through. */
export async function finish(before, student, result) {
  const after = await student.freeze();
  student.dispose();
  return { before, after, result };
}
