/** What is done for the accuracy of a whole model, and what it takes of the model. */
import type { DSConvFilter } from '@dsconv/core';
import type { CalibrateOptions } from '../calibration/calibrate-options.js';
import type { NetworkStructure } from '../calibration/structure.js';

/** Pictures that a model is calibrated on, preprocessed as it wants them. */
export interface ModelPictures {
  count: number;
  /** @param shape `[height, width, channels]` that the model reads; so many values, channels last */
  read(index: number, shape: readonly [number, number, number]): Promise<Float32Array>;
}

export interface AccuracyOptions extends Pick<CalibrateOptions, 'fit' | 'rows' | 'memory' | 'seed'> {
  /** Fits every convolution on pictures instead of only rounding it. */
  pictures?: ModelPictures;
  /**
   * Take back what rounding adds to the outputs on average, where batch normalizations tell the mean inputs. By default it is done where the
   * current TensorFlow.js backend has DSConv kernels and the model can be recorded.
   */
  biasCorrection?: boolean;
  /**
   * Use more of the activations' bits before depthwise convolutions: channels that batch normalization keeps small are multiplied where they are made
   * and the filter that reads them is divided. Default likewise.
   */
  rangeScaling?: boolean;
}

/** What was done for the accuracy of a model beyond rounding. */
export interface AccuracyReport {
  /** Convolutions whose biases make up for the rounding of their weights. */
  correctedBiases: number;
  /** Pictures that convolutions were fitted on. */
  pictures: number;
  /** Convolutions that were only rounded although there were pictures. */
  rounded: string[];
  /** Depthwise convolutions whose input channels were scaled. */
  scaledRanges: number;
  /** Why biases were not corrected, or null. */
  notCorrected: string | null;
}

/** A model that can be run with any filters of the planned formats. */
export interface Recordable {
  /** Whether batch normalizations are left that no convolution took in. */
  normalizes: boolean;
  /** The tensor that pictures go into. @throws InvalidArgumentError when the model reads no pictures */
  picture(): PictureInput;
  /**
   * The kernel calls of the model with these filters. @param batch pictures at a time; null for whatever the model says, or its example inputs
   * @throws TraceError, or what the model throws, when it cannot be recorded
   */
  record(filters: ReadonlyMap<string, DSConvFilter>, batch: number | null): Promise<NetworkStructure>;
}

/** Where a model takes pictures in. */
export interface PictureInput {
  name: string;
  /** Height, width, channels. */
  shape: readonly [number, number, number];
  /** Channels come before height and width. */
  planar: boolean;
  dtype: 'float32' | 'int32';
  anyBatch: boolean;
}
