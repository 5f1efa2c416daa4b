/** The loop of training: steps, rates, progress, the best network kept. */
import { InvalidArgumentError } from '@dsconv/core';
import {
  keep,
  nextFrame,
  type Optimizer,
  type Scalar,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
  variableGrads,
} from '@tensorflow/tfjs-core';
import { DivergedError } from '../errors.js';
import type { TrainableNetwork } from '../network/trainable-network.js';
import { type Augmentation, checkAugmentation } from './augment.js';
import { type Batch, batchCount, batchesOf, type PictureSource } from './batches.js';
import {
  restoreOptimizer,
  restoreSnapshot,
  type Snapshot,
  takeOptimizer,
  takeSnapshot,
} from './checkpoint.js';
import type { Schedule } from './schedule.js';

/** One step's tensors, which live until the loss is computed. */
export interface StepTensors {
  x: Tensor4D;
  labels: Tensor1D | null;
}

/** Computes the loss of a batch with the student in training. */
export type LossFunction = (
  student: TrainableNetwork,
  tensors: StepTensors,
) => { loss: Scalar; logits: Tensor2D };

/** What is told after every step. */
export interface TrainingProgress {
  /** Epochs and steps count from 1; steps over all epochs. */
  epoch: number;
  step: number;
  steps: number;
  loss: number;
  /** Share of the batch whose class was right, where classes are known. */
  accuracy: number | null;
  /** Learning rate of this step. */
  rate: number;
  picturesPerSecond: number;
  secondsLeft: number;
}

/** What is told after every epoch. */
export interface EpochReport {
  epoch: number;
  /** Mean over the epoch's steps. */
  loss: number;
  /** What `validate` gave; larger is better. */
  score: number | null;
  isBest: boolean;
}

/** Where training stands, for going on later. */
export interface TrainingPosition {
  /** Steps that are done, over all epochs. */
  step: number;
  bestScore: number | null;
  /** Epochs since then. */
  sinceBest: number;
}

/** All that training needs to go on, beside the network's variables. */
export interface ResumePoint {
  position: TrainingPosition;
  /** Variables of the best epoch, or null where none was scored. */
  best: Snapshot | null;
  optimizer: Snapshot;
}

export interface TrainOptions {
  source: PictureSource;
  loss: LossFunction;
  optimizer: Optimizer;
  /** The rate of the optimizer, by the share of the steps that are done. */
  rate: (progress: number) => number;
  /** Share by which filters shrink at a step of rate 1, beside what the loss asks for (Loshchilov and Hutter, arXiv 1711.05101). Default 0. */
  weightDecay?: number;
  epochs: number;
  batchSize: number;
  /** Order and augmentation follow from it. Default 1. */
  seed?: number;
  augmentation?: Augmentation;
  /** Called between epochs; the weights with the largest result are kept. Without it the last ones are. */
  validate?: (network: TrainableNetwork) => Promise<number>;
  /** Epochs without a better score after which training ends. Default: none. */
  patience?: number;
  /** Called before every epoch, which count from 1, to change what is trained: see `schedule.ts`. */
  schedule?: Schedule;
  /** Where to begin, once the network's variables are those of that moment. */
  resume?: ResumePoint;
  /** Called after every epoch, and when training is ended by the signal: what to keep for going on later. */
  onCheckpoint?: (point: ResumePoint) => Promise<void>;
  onStep?: (progress: TrainingProgress) => void;
  onEpoch?: (report: EpochReport) => void | Promise<void>;
  /** Ends training after the current step. */
  signal?: AbortSignal;
}

export interface TrainResult {
  epochs: EpochReport[];
  position: TrainingPosition;
  /** Training was ended by the signal. */
  aborted: boolean;
}

/**
 * Trains a network. The event loop gets a turn after every step.
 *
 * @throws DivergedError when the loss is not finite; the best weights so far are restored first
 * @throws InvalidArgumentError when an option is out of range
 */
export async function train(network: TrainableNetwork, options: TrainOptions): Promise<TrainResult> {
  const { source, epochs, batchSize, seed = 1, augmentation, validate, patience = Infinity } = options;
  const { weightDecay = 0 } = options;
  if (!Number.isInteger(epochs) || epochs < 1) {
    throw new InvalidArgumentError(`epochs is ${epochs}; expected a positive integer`);
  }
  if (!(weightDecay >= 0)) {
    throw new InvalidArgumentError(`weightDecay is ${weightDecay}; expected a number of at least 0`);
  }
  checkAugmentation(augmentation ?? {});
  const perEpoch = batchCount(source, batchSize);
  const loop = new Loop(network, options, perEpoch);
  const { resume, optimizer } = options;
  if (resume) {
    await restoreOptimizer(optimizer, resume.optimizer);
    const before = Math.ceil(resume.position.step / perEpoch);
    if (options.schedule && before > 0) await catchUp(options.schedule, network, before);
  }
  let best: Snapshot = resume?.best ?? (await takeSnapshot(network.state));
  let bestScore = resume?.position.bestScore ?? (validate ? await validate(network) : null);
  let sinceBest = resume?.position.sinceBest ?? 0;
  const reports: EpochReport[] = [];
  const position = (): TrainingPosition => ({ step: loop.step, bestScore, sinceBest });
  const finish = (aborted: boolean): TrainResult => ({ epochs: reports, position: position(), aborted });
  const checkpoint = async (): Promise<void> => {
    await options.onCheckpoint?.({
      position: position(),
      best: validate ? best : null,
      optimizer: await takeOptimizer(optimizer),
    });
  };
  try {
    for (let epoch = Math.floor(loop.step / perEpoch); epoch < epochs; epoch++) {
      const from = loop.step - epoch * perEpoch;
      options.schedule?.(network, epoch + 1);
      const losses: number[] = [];
      for await (const batch of batchesOf(source, batchSize, { seed, epoch, from }, augmentation)) {
        losses.push(await loop.run(batch));
        // An epoch that is through is scored first, so that going on misses nothing.
        if (options.signal?.aborted && loop.step < (epoch + 1) * perEpoch) {
          await checkpoint();
          return finish(true);
        }
      }
      const score = validate ? await validate(network) : null;
      const isBest = score === null || bestScore === null || score > bestScore;
      if (isBest) {
        best = await takeSnapshot(network.state);
        bestScore = score;
      }
      sinceBest = isBest ? 0 : sinceBest + 1;
      const loss = losses.reduce((a, b) => a + b, 0) / losses.length;
      const report = { epoch: epoch + 1, loss, score, isBest };
      reports.push(report);
      await options.onEpoch?.(report);
      await checkpoint();
      if (sinceBest >= patience) break;
      if (options.signal?.aborted && epoch + 1 < epochs) return finish(true);
    }
  } catch (error) {
    if (error instanceof DivergedError) restoreSnapshot(network.state, best);
    throw error;
  }
  if (validate) restoreSnapshot(network.state, best);
  return finish(false);
}

/** Brings the settings to those of an epoch whose numbers the network has already. */
async function catchUp(schedule: Schedule, network: TrainableNetwork, epoch: number): Promise<void> {
  const numbers = await takeSnapshot(network.state);
  schedule(network, epoch);
  restoreSnapshot(network.state, numbers);
}

class Loop {
  step: number;
  private readonly steps: number;
  private readonly begun = performance.now();
  private readonly first: number;
  private pictures = 0;

  constructor(
    private readonly network: TrainableNetwork,
    private readonly options: TrainOptions,
    private readonly perEpoch: number,
  ) {
    this.step = options.resume?.position.step ?? 0;
    this.first = this.step;
    this.steps = options.epochs * perEpoch;
  }

  /** One step; gives the loss. */
  async run(batch: Batch): Promise<number> {
    const { network, options } = this;
    const rate = options.rate(this.step / this.steps);
    setRate(options.optimizer, rate);
    const x = tensor4d(batch.x, batch.shape);
    const labels = batch.labels && tensor1d(batch.labels, 'int32');
    let logits: Tensor2D | null = null;
    const { value, grads } = variableGrads(() => {
      const found = options.loss(network, { x, labels });
      if (labels) logits = keep(found.logits);
      return found.loss;
    }, network.trainable);
    try {
      const loss = (await value.data())[0]!;
      // Signals and progress bars have their turn.
      await nextFrame();
      this.step++;
      if (!Number.isFinite(loss)) throw new DivergedError(this.step, loss, firstNotFinite(network, x));
      options.optimizer.applyGradients(grads);
      if (options.weightDecay) network.shrinkFilters(rate * options.weightDecay);
      this.pictures += batch.shape[0];
      const accuracy = batch.labels && logits ? await accuracyOf(logits, batch.labels) : null;
      this.report(loss, accuracy, rate);
      return loss;
    } finally {
      x.dispose();
      labels?.dispose();
      value.dispose();
      (logits as Tensor2D | null)?.dispose();
      for (const grad of Object.values(grads)) grad.dispose();
    }
  }

  private report(loss: number, accuracy: number | null, rate: number): void {
    const seconds = (performance.now() - this.begun) / 1000;
    const secondsLeft = ((this.steps - this.step) * seconds) / (this.step - this.first);
    this.options.onStep?.({
      epoch: Math.floor((this.step - 1) / this.perEpoch) + 1,
      step: this.step,
      steps: this.steps,
      loss,
      accuracy,
      rate,
      picturesPerSecond: this.pictures / seconds,
      secondsLeft,
    });
  }
}

/** TensorFlow.js' optimizers read `learningRate` at every step, but for gradient descent and momentum, which keep a tensor of it. */
function setRate(optimizer: Optimizer, rate: number): void {
  const changed = optimizer as unknown as { learningRate: number; setLearningRate?(rate: number): void };
  if (changed.setLearningRate) changed.setLearningRate(rate);
  else changed.learningRate = rate;
}

/** The first layer, in forward order, whose outputs are not all finite. */
function firstNotFinite(network: TrainableNetwork, x: Tensor4D): string | null {
  let found: string | null = null;
  tidy(() => {
    network.logits(x, {
      onOutput: (layer, output) => {
        found ??= output.dataSync().every(Number.isFinite) ? null : layer;
      },
    });
  });
  return found;
}

/** Share of pictures whose largest logit is that of their class. */
async function accuracyOf(logits: Tensor2D, labels: Int32Array): Promise<number> {
  const values = await logits.data();
  const classes = logits.shape[1];
  let right = 0;
  labels.forEach((label, n) => {
    const row = values.subarray(n * classes, (n + 1) * classes);
    if (row.every((value) => value <= row[label]!)) right++;
  });
  return right / labels.length;
}
