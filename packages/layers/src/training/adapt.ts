/** Distillation without labels: the paper's adaptation to what a network will see. */
import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { add, mul, train as optimizers, type Scalar, type Tensor4D, tidy } from '@tensorflow/tfjs-core';
import { TrainableNetwork } from '../network/trainable-network.js';
import { checkShare, cosineRate } from './finetune.js';
import { featureLoss, logitLoss } from './losses.js';
import { type LossFunction, type TrainOptions, type TrainResult, train } from './train.js';

export interface AdaptOptions
  extends Omit<TrainOptions, 'loss' | 'optimizer' | 'rate' | 'epochs' | 'batchSize'> {
  /** Default 4. */
  epochs?: number;
  /** Default 8. */
  batchSize?: number;
  /** Relative to the size of the weights that share a scale, with Adam. Default 3e-4: more overfits a few hundred pictures. */
  learningRate?: number;
  /** Weight of the feature maps against the logits, 0 to 1. Default 0.5. */
  featureShare?: number;
  /** Layers whose outputs are matched. Default: eight of them, evenly spread, the last ones before the classifier included. */
  features?: readonly string[];
  /** Temperature of the logits' softmax. Default 1. */
  temperature?: number;
}

/**
 * Makes a quantized network answer as its float network does, on pictures without labels: softened logits and feature maps are matched (Hinton et al., arXiv
 * 1503.02531; Romero et al., "FitNets", arXiv 1412.6550).
 *
 * @param teacher the float network, of the same architecture
 * @throws InvalidArgumentError when the teacher is another network, or a feature no layer
 * @throws DivergedError as `train`
 */
export async function adapt(
  student: TrainableNetwork,
  teacher: Network,
  options: AdaptOptions,
): Promise<TrainResult> {
  const { epochs = 4, batchSize = 8, learningRate = 3e-4, featureShare = 0.5, temperature = 1 } = options;
  checkShare(featureShare, 'featureShare');
  if (!(learningRate > 0)) {
    throw new InvalidArgumentError(`learningRate is ${learningRate}; expected a positive number`);
  }
  checkTeacher(student, teacher);
  const features = options.features ?? defaultFeatures(student);
  for (const name of features) {
    if (!student.byName.has(name)) {
      throw new InvalidArgumentError(`features has '${name}'; expected names of convolutions of the network`);
    }
  }
  // The float network in the same harness, so that its features can be had.
  const float = new TrainableNetwork(teacher, { scales: 'frozen' });
  const optimizer = optimizers.adam(learningRate);
  const loss: LossFunction = (network, { x }) => {
    const wanted = collect(float, x, features, false);
    const found = collect(network, x, features, true);
    const soft = logitLoss(found.logits, wanted.logits, temperature);
    if (features.length === 0 || featureShare === 0) return { loss: soft, logits: found.logits };
    const maps = featureLoss(found.maps, wanted.maps);
    return {
      loss: add(mul(soft, 1 - featureShare), mul(maps, featureShare)) as Scalar,
      logits: found.logits,
    };
  };
  try {
    return await train(student, {
      ...options,
      epochs,
      batchSize,
      loss,
      optimizer,
      rate: cosineRate(learningRate, 0.05),
    });
  } finally {
    optimizer.dispose();
    float.dispose();
  }
}

function collect(network: TrainableNetwork, x: Tensor4D, names: readonly string[], training: boolean) {
  const maps = new Map<string, Tensor4D>();
  const pass = () =>
    network.logits(x, {
      training,
      onOutput: (layer, output) => {
        if (names.includes(layer)) maps.set(layer, output);
      },
    });
  const logits = pass();
  return { logits, maps: names.map((name) => maps.get(name)!) };
}

/** Evenly spread over the network, the classifier left out, whose logits count anyway. */
function defaultFeatures(student: TrainableNetwork): string[] {
  const names = [...student.byName.keys()].slice(0, -1);
  const count = Math.min(8, names.length);
  return Array.from({ length: count }, (_, n) => names[Math.round(((n + 1) * names.length) / count) - 1]!);
}

function checkTeacher(student: TrainableNetwork, teacher: Network): void {
  const own = student.source.architecture;
  const other = teacher.architecture;
  if (other.name !== own.name || other.classes !== own.classes) {
    throw new InvalidArgumentError(
      `teacher is a ${other.name} of ${other.classes} classes; expected ${own.name} of ${own.classes} like the student`,
    );
  }
  if (teacher.isQuantized) throw new InvalidArgumentError('teacher is quantized; expected the float network');
}

/** Statistics of restored batch normalizations, averaged over batches, as the quantized network sees them. */
export async function reestimateBatchNorm(
  network: TrainableNetwork,
  batches: AsyncIterable<Tensor4D> | Iterable<Tensor4D>,
): Promise<void> {
  let count = 0;
  for await (const x of batches) {
    count++;
    // The mean of all batches so far.
    tidy(() => {
      network.logits(x, { blend: 1 / count });
    });
  }
  if (count === 0) throw new InvalidArgumentError('there are no batches; expected at least one');
}
