/** Retraining with labels, with a teacher beside them where there is one. */
import { InvalidArgumentError } from '@dsconv/core';
import {
  add,
  mul,
  type Optimizer,
  train as optimizers,
  type Scalar,
  type Tensor2D,
  type Tensor4D,
  tidy,
} from '@tensorflow/tfjs-core';
import type { TrainableNetwork } from '../network/trainable-network.js';
import { labelLoss, logitLoss } from './losses.js';
import { type LossFunction, type TrainOptions, type TrainResult, train } from './train.js';

/** Optimizers by name, with the rates that suit them. */
const OPTIMIZERS = {
  adam: { rate: 3e-3, make: (rate: number): Optimizer => optimizers.adam(rate) },
  momentum: { rate: 0.1, make: (rate: number): Optimizer => optimizers.momentum(rate, 0.9, true) },
};

export type OptimizerName = keyof typeof OPTIMIZERS;

/** Anything that computes logits. */
export interface Teacher {
  logits(x: Tensor4D): Tensor2D;
}

export interface FinetuneOptions
  extends Omit<TrainOptions, 'loss' | 'optimizer' | 'rate' | 'epochs' | 'batchSize'> {
  /** Default 3. */
  epochs?: number;
  /** Default 64. */
  batchSize?: number;
  /** Adam, or gradient descent with Nesterov's momentum of 0.9, which generalizes better from random weights and is meant for `units: 'absolute'`. Default 'adam'. */
  optimizer?: OptimizerName;
  /** Learning rate at its highest, in the network's units; a cosine takes it down to 0. Default 3e-3 for Adam, 0.1 for momentum. */
  learningRate?: number;
  /** Share of the steps in which the rate rises from a tenth to its full value. Default 0. */
  warmUp?: number;
  /** The float network, whose logits are learned too. */
  teacher?: Teacher;
  /** Weight of the teacher's part of the loss, 0 to 1. Default 0.5. */
  teacherShare?: number;
  labelSmoothing?: number;
}

/** A rate that rises for a while and then falls as a cosine does. */
export function cosineRate(peak: number, warmUp = 0): (progress: number) => number {
  return (progress) => {
    if (progress < warmUp) return peak * (0.1 + (0.9 * progress) / warmUp);
    return (peak * (1 + Math.cos((Math.PI * (progress - warmUp)) / (1 - warmUp)))) / 2;
  };
}

/** @throws InvalidArgumentError unless the value is within the range */
export function checkShare(value: number, name: string): void {
  if (!(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError(`${name} is ${value}; expected a number from 0 to 1`);
  }
}

/**
 * Retrains a quantized network on labelled pictures (NUMERICS §6): cross-entropy, and the teacher's soft classes where a teacher is given.
 *
 * @throws InvalidArgumentError when a label is no class of the network, the source has none, or an option is out of range
 * @throws DivergedError as `train`
 */
export async function finetune(network: TrainableNetwork, options: FinetuneOptions): Promise<TrainResult> {
  const { epochs = 3, batchSize = 64, optimizer = 'adam', warmUp = 0 } = options;
  if (!Object.hasOwn(OPTIMIZERS, optimizer)) {
    throw new InvalidArgumentError(
      `optimizer is '${optimizer}'; expected one of ${Object.keys(OPTIMIZERS).join(', ')}`,
    );
  }
  const { rate, make } = OPTIMIZERS[optimizer];
  const { learningRate = rate } = options;
  const { teacher, teacherShare = 0.5, labelSmoothing = 0, source } = options;
  checkShare(teacherShare, 'teacherShare');
  checkShare(labelSmoothing, 'labelSmoothing');
  checkShare(warmUp, 'warmUp');
  if (!(learningRate > 0)) {
    throw new InvalidArgumentError(`learningRate is ${learningRate}; expected a positive number`);
  }
  if (options.augmentation?.mix) {
    throw new InvalidArgumentError(
      `augmentation.mix is ${options.augmentation.mix}; expected 0 where pictures have one label each`,
    );
  }
  checkLabels(network, options);
  const loss: LossFunction = (student, { x, labels }) => {
    const wanted = teacher && teacherShare > 0 ? tidy(() => teacher.logits(x)) : null;
    const logits = student.logits(x, { training: true });
    const hard = labelLoss(logits, labels!, labelSmoothing);
    if (!wanted) return { loss: hard, logits };
    const both = add(mul(hard, 1 - teacherShare), mul(logitLoss(logits, wanted), teacherShare));
    return { loss: both as Scalar, logits };
  };
  const made = make(learningRate);
  try {
    return await train(network, {
      ...options,
      source,
      epochs,
      batchSize,
      loss,
      optimizer: made,
      rate: cosineRate(learningRate, warmUp),
    });
  } finally {
    made.dispose();
  }
}

function checkLabels(network: TrainableNetwork, { source }: FinetuneOptions): void {
  if (!source.label) {
    throw new InvalidArgumentError('the pictures have no labels; expected a class per picture');
  }
  const { classes } = network.source.architecture;
  for (let n = 0; n < source.count; n++) {
    const label = source.label(n);
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new InvalidArgumentError(
        `picture ${n} has class ${label}; expected 0 to ${classes - 1}, as the network has ${classes} classes`,
      );
    }
  }
}
