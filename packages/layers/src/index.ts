export { DivergedError } from './errors.js';
export { fakeQuantize, fitScales, refitScales } from './filter/fake-quantize.js';
export { type Partition, partitionOf, scaleShape } from './filter/partition.js';
export type { ScaleTraining } from './filter/quantized-filter.js';
export { DSConvBlock, type DSConvBlockArgs, dsConvBlock } from './keras/ds-conv-block.js';
export { DSConv2D, type DSConv2DArgs, dsConv2d } from './keras/ds-conv2d.js';
export {
  DSDepthwiseConv2D,
  type DSDepthwiseConv2DArgs,
  dsDepthwiseConv2d,
} from './keras/ds-depthwise-conv2d.js';
export { type FreezeOptions, freeze } from './keras/freeze.js';
export type { LayerPadding, QuantizationArgs, ShifterArgs } from './keras/settings.js';
export { type LayerChoice, type ToDSConvOptions, toDSConv } from './keras/to-dsconv.js';
export { type TorchDSConvOptions, type TorchTensor, torchDSConv } from './keras/torch-dsconv.js';
export { freshNetwork } from './network/fresh-network.js';
export { replaceHead } from './network/replace-head.js';
export { TrainableLayer } from './network/trainable-layer.js';
export { type PassOptions, TrainableNetwork, type TrainableOptions } from './network/trainable-network.js';
export { type AdaptOptions, adapt, reestimateBatchNorm } from './training/adapt.js';
export type { Augmentation } from './training/augment.js';
export {
  type Batch,
  batchCount,
  batchesOf,
  type PictureSource,
} from './training/batches.js';
export { type FitCallbacks, fromCallbacks } from './training/callbacks.js';
export {
  restoreOptimizer,
  restoreSnapshot,
  type Snapshot,
  takeOptimizer,
  takeSnapshot,
} from './training/checkpoint.js';
export {
  cosineRate,
  type FinetuneOptions,
  finetune,
  type OptimizerName,
  type Teacher,
} from './training/finetune.js';
export { featureLoss, labelLoss, logitLoss } from './training/losses.js';
export { gradually, type Schedule, type ScheduleOptions } from './training/schedule.js';
export {
  type EpochReport,
  type LossFunction,
  type ResumePoint,
  type TrainingPosition,
  type TrainingProgress,
  type TrainOptions,
  type TrainResult,
  train,
} from './training/train.js';
