/** All convolutions of a model, whatever its format: rounded, rounded with corrected biases, or fitted on pictures. */
import { DSConvError, type DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import { calibrateLayers } from '../calibration/calibrate-layers.js';
import type { CalibrateOptions, CalibrationPictures } from '../calibration/calibrate-options.js';
import { correctedBias, propagateMeans } from '../calibration/correct-biases.js';
import type { FloatLayer } from '../calibration/float-network.js';
import { type NetworkStructure, placeholder } from '../calibration/structure.js';
import { wantsCorrection } from '../quantize-network.js';
import type { Convolution } from './convolution.js';
import type { ConvolutionPlan, QuantizeOptions } from './plan-convolutions.js';
import { type ConvolutionReport, describeConvolution, quantizeConvolution } from './quantize-convolution.js';

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
}

/** What was done for the accuracy of a model beyond rounding. */
export interface AccuracyReport {
  /** Convolutions whose biases make up for the rounding of their weights. */
  correctedBiases: number;
  /** Pictures that convolutions were fitted on. */
  pictures: number;
  /** Convolutions that were only rounded although there were pictures. */
  rounded: string[];
  /** Why biases were not corrected, or null. */
  notCorrected: string | null;
}

/** A convolution's filter and its bias, which may not be the float network's. */
export interface FoundConvolution {
  filter: DSConvFilter;
  bias: Float32Array | null;
}

/** A model that can be run with any filters of the planned formats. */
export interface Recordable {
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

export interface QuantizedConvolutions {
  found: Map<string, FoundConvolution>;
  layers: ConvolutionReport[];
  accuracy: AccuracyReport;
}

/**
 * Quantizes every convolution. The event loop gets a turn between them.
 *
 * @throws NotFiniteError naming the convolution and the index of a NaN or infinite weight
 * @throws InvalidArgumentError when pictures do not fit the model
 * @throws BackendUnavailableError when biasCorrection is asked for and the current backend has no DSConv kernels
 */
export async function quantizeConvolutions(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions & AccuracyOptions,
  model: Recordable,
): Promise<QuantizedConvolutions> {
  const { found, accuracy } = options.pictures
    ? await calibrate(convolutions, plans, options, options.pictures, model)
    : await round(convolutions, plans, options, model);
  const layers = [...convolutions].map(([name, convolution]) =>
    describeConvolution(name, convolution, plans.get(name)!, found.get(name)!.filter),
  );
  return { found, layers, accuracy };
}

type Found = Pick<QuantizedConvolutions, 'found' | 'accuracy'>;

async function round(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions & AccuracyOptions,
  model: Recordable,
): Promise<Found> {
  const corrects = convolutions.size > 0 && wantsCorrection(options);
  const total = convolutions.size;
  const filters = new Map<string, DSConvFilter>();
  for (const [name, convolution] of convolutions) {
    options.onProgress?.({ done: filters.size, total, layer: name });
    await new Promise<void>((resolve) => setTimeout(resolve));
    filters.set(name, quantizeConvolution(name, convolution, plans.get(name)!, options));
  }
  const { means, reason } = corrects
    ? await findMeans(convolutions, filters, model)
    : { means: new Map<string, Float64Array>(), reason: corrects ? null : 'not asked for' };
  const found = new Map<string, FoundConvolution>();
  let correctedBiases = 0;
  for (const [name, convolution] of convolutions) {
    const filter = filters.get(name)!;
    const mean = widened(means.get(name), convolution);
    if (mean) correctedBiases++;
    const bias = mean
      ? correctedBias(
          convolution,
          convolution.weights,
          filter.dequantize(),
          convolution.bias,
          mean,
          convolution.groups,
        )
      : convolution.bias;
    found.set(name, { filter, bias });
  }
  options.onProgress?.({ done: total, total, layer: null });
  return { found, accuracy: { correctedBiases, pictures: 0, rounded: [], notCorrected: reason } };
}

async function findMeans(
  convolutions: ReadonlyMap<string, Convolution>,
  filters: ReadonlyMap<string, DSConvFilter>,
  model: Recordable,
): Promise<{ means: Map<string, Float64Array>; reason: string | null }> {
  const none = new Map<string, Float64Array>();
  if ([...convolutions.values()].every(({ statistics }) => statistics === null)) {
    return { means: none, reason: 'the model has no batch normalization that tells mean inputs' };
  }
  try {
    const structure = await model.record(filters, null);
    return { means: propagateMeans(structure, (name) => convolutions.get(name)!.statistics), reason: null };
  } catch (error) {
    // The model itself is not at fault: it only cannot be looked into. What else is wrong with it, comparing tells.
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
    return { means: none, reason: `the model cannot be recorded: ${why}` };
  }
}

/** One mean for each input channel. A dense layer behind a flattening reads every channel once for every pixel. */
function widened(mean: Float64Array | undefined, { kind, shape, groups }: Convolution): Float64Array | null {
  if (!mean) return null;
  const channels = kind === 'depthwise' ? shape[2] : shape[2] * groups;
  if (channels === mean.length) return mean;
  if (groups !== 1 || kind === 'depthwise' || channels % mean.length !== 0) return null;
  return Float64Array.from({ length: channels }, (_, i) => mean[i % mean.length]!);
}

async function calibrate(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions & AccuracyOptions,
  pictures: ModelPictures,
  model: Recordable,
): Promise<Found> {
  const input = model.picture();
  const layers = new Map(
    [...convolutions].map(([name, convolution]): [string, FloatLayer] => {
      const { kind, shape, weights, bias, statistics } = convolution;
      return [name, { name, kind, shape, weights, bias, statistics, plan: plans.get(name)! }];
    }),
  );
  const [height, width, channels] = input.shape;
  const network = {
    inputShape: input.planar ? [channels, height, width] : input.shape,
    dtype: input.dtype,
    anyBatch: input.anyBatch,
    layers,
    record: (batch: number) => record(layers, batch, model),
  };
  const calibrated = await calibrateLayers(network, readable(pictures, input), options).catch((error) => {
    throw error instanceof DSConvError
      ? error
      : new InvalidArgumentError(
          `pictures cannot be used, because the model does not run step by step: ${(error as Error).message}`,
        );
  });
  const found = new Map<string, FoundConvolution>();
  const rounded = [...calibrated.rounded];
  for (const [name, convolution] of convolutions) {
    const fitted = calibrated.layers.get(name);
    if (fitted) found.set(name, fitted);
    else {
      // No picture reaches it: its outputs are needed by name only.
      rounded.push(name);
      const filter = quantizeConvolution(name, convolution, plans.get(name)!, options);
      found.set(name, { filter, bias: convolution.bias });
    }
  }
  const correctedBiases = convolutions.size - rounded.length;
  return {
    found,
    accuracy: { correctedBiases, pictures: calibrated.pictures, rounded, notCorrected: null },
  };
}

/** The structure does not depend on the filters' values. */
async function record(
  layers: ReadonlyMap<string, FloatLayer>,
  batch: number,
  model: Recordable,
): Promise<NetworkStructure> {
  const filters = new Map(
    [...layers].map(([name, { kind, shape, plan }]) => [
      name,
      placeholder(kind === 'depthwise', shape, plan),
    ]),
  );
  try {
    return await model.record(filters, batch);
  } finally {
    for (const filter of filters.values()) filter.dispose();
  }
}

/** The first picture, for comparing. */
export async function firstPicture(
  pictures: ModelPictures,
  input: PictureInput,
): Promise<Record<string, { shape: readonly number[]; data: Float32Array }>> {
  const { name, shape, planar } = input;
  const [height, width, channels] = shape;
  const sizes = planar ? [channels, height, width] : [height, width, channels];
  return { [name]: { shape: [1, ...sizes], data: await readable(pictures, input).read(0) } };
}

/** Pictures in the order of the model's dimensions. */
function readable(pictures: ModelPictures, { shape, planar }: PictureInput): CalibrationPictures {
  const [height, width, channels] = shape;
  const { count } = pictures;
  return {
    count,
    async read(index) {
      const picture = await pictures.read(index, shape);
      if (!planar || picture.length !== height * width * channels) return picture;
      return Float32Array.from(picture, (_, n) => {
        const pixel = n % (height * width);
        return picture[pixel * channels + Math.floor(n / (height * width))]!;
      });
    },
  };
}
