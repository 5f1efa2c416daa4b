/** Convolutions of a model, fitted on pictures. */
import { DSConvError, InvalidArgumentError } from '@dsconv/core';
import { calibrateLayers } from '../calibration/calibrate-layers.js';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import type { FloatLayer } from '../calibration/float-network.js';
import { measureOutputs } from '../calibration/measure-outputs.js';
import { wantsKernels } from '../quantize-network.js';
import { pairsOf } from '../scale-ranges.js';
import type { AccuracyOptions, ModelPictures, PictureInput, Recordable } from './accuracy.js';
import type { Convolution } from './convolution.js';
import { record, scaleConvolutions } from './look-into.js';
import type { ConvolutionPlan, QuantizeOptions } from './plan-convolutions.js';
import { quantizeConvolution } from './quantize-convolution.js';
import type { Found, FoundConvolution } from './quantize-convolutions.js';

export async function calibrate(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions & AccuracyOptions,
  pictures: ModelPictures,
  model: Recordable,
): Promise<Found> {
  const input = model.picture();
  const network = floatNetwork(convolutions, plans, input, model);
  const calibrated = await stepByStep(calibrateLayers(network, readable(pictures, input), options));
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

/** Pictures that tell how outputs are distributed; ranges need no more. */
const LOOKED_AT = 8;

/**
 * Scales ranges by what pictures show, where batch normalizations do not tell.
 *
 * @throws InvalidArgumentError when pictures do not fit the model, or it cannot be recorded
 */
export async function scaleByPictures(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  { rangeScaling, activationBits = 8 }: QuantizeOptions & AccuracyOptions,
  pictures: ModelPictures,
  model: Recordable,
): Promise<{ convolutions: ReadonlyMap<string, Convolution>; scaledRanges: number }> {
  const isWanted = activationBits !== null && wantsKernels('rangeScaling', rangeScaling);
  const hasDepthwise = [...convolutions.values()].some(({ kind }) => kind === 'depthwise');
  if (!isWanted || !hasDepthwise) return { convolutions, scaledRanges: 0 };
  const input = model.picture();
  const network = floatNetwork(convolutions, plans, input, model);
  const structure = await stepByStep(network.record(1));
  const measured = await stepByStep(measureOutputs(network, structure, readable(pictures, input), LOOKED_AT));
  const pairs = pairsOf(structure, (name) => convolutions.get(name)!.statistics ?? measured.get(name));
  return { convolutions: scaleConvolutions(convolutions, pairs), scaledRanges: pairs.length };
}

function floatNetwork(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  { shape, planar, dtype, anyBatch }: PictureInput,
  model: Recordable,
) {
  const layers = new Map(
    [...convolutions].map(([name, convolution]): [string, FloatLayer] => {
      const { kind, shape, weights, bias, statistics } = convolution;
      return [name, { name, kind, shape, weights, bias, statistics, plan: plans.get(name)! }];
    }),
  );
  const [height, width, channels] = shape;
  return {
    inputShape: planar ? [channels, height, width] : shape,
    dtype,
    anyBatch,
    layers,
    record: (batch: number) => record(convolutions, plans, batch, model),
  };
}

/** Names what is wrong where the model, not the pictures, is. */
async function stepByStep<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DSConvError) throw error;
    throw new InvalidArgumentError(
      `pictures cannot be used, because the model does not run step by step: ${(error as Error).message}`,
    );
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
