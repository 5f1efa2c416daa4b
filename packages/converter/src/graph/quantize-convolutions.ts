/** All convolutions of a model, whatever its format: rounded, rounded with corrected biases, or fitted on pictures. */
import type { DSConvFilter } from '@dsconv/core';
import { correctedBias } from '../calibration/correct-biases.js';
import type { AccuracyOptions, AccuracyReport, Recordable } from './accuracy.js';
import { calibrate, scaleByPictures } from './calibrate-convolutions.js';
import type { Convolution } from './convolution.js';
import { type Look, lookInto, widened } from './look-into.js';
import type { ConvolutionPlan, QuantizeOptions } from './plan-convolutions.js';
import { type ConvolutionReport, describeConvolution, quantizeConvolution } from './quantize-convolution.js';

/** A convolution's filter and its bias, which may not be the float network's. */
export interface FoundConvolution {
  filter: DSConvFilter;
  bias: Float32Array | null;
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
  const { pictures } = options;
  if (pictures) {
    const scaled = await scaleByPictures(convolutions, plans, options, pictures, model);
    const found = await calibrate(scaled.convolutions, plans, options, pictures, model);
    return describe(scaled, plans, found);
  }
  const look = await lookInto(convolutions, plans, options, model);
  return describe(look, plans, await round(look.convolutions, plans, options, look));
}

function describe(
  { convolutions, scaledRanges }: Pick<Look, 'convolutions' | 'scaledRanges'>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  { found, accuracy }: Found,
): QuantizedConvolutions {
  const layers = [...convolutions].map(([name, convolution]) =>
    describeConvolution(name, convolution, plans.get(name)!, found.get(name)!.filter),
  );
  return { found, layers, accuracy: { ...accuracy, scaledRanges } };
}

export interface Found {
  found: Map<string, FoundConvolution>;
  accuracy: Omit<AccuracyReport, 'scaledRanges'>;
}

async function round(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions,
  { means, reason }: Look,
): Promise<Found> {
  const total = convolutions.size;
  const found = new Map<string, FoundConvolution>();
  let correctedBiases = 0;
  for (const [name, convolution] of convolutions) {
    options.onProgress?.({ done: found.size, total, layer: name });
    await new Promise<void>((resolve) => setTimeout(resolve));
    const { weights, groups } = convolution;
    const filter = quantizeConvolution(name, convolution, plans.get(name)!, options);
    const mean = widened(means.get(name), convolution);
    let { bias } = convolution;
    if (mean) {
      correctedBiases++;
      bias = correctedBias(convolution, weights, filter.dequantize(), bias, mean, groups);
    }
    found.set(name, { filter, bias });
  }
  options.onProgress?.({ done: total, total, layer: null });
  return { found, accuracy: { correctedBiases, pictures: 0, rounded: [], notCorrected: reason } };
}
