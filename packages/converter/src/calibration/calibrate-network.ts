/** Quantization with unlabelled pictures: layer by layer, each fitted to make up for what the layers before it lost. */
import { InvalidArgumentError } from '@dsconv/core';
import { type LayerWeights, Network } from '@dsconv/models';
import { makeReport, planNetwork } from '../quantize-network.js';
import type { CalibrateOptions, CalibrationPictures, CalibrationReport } from './calibrate-options.js';
import { CalibrationRun } from './calibration-run.js';

/**
 * Quantizes a float network with the help of pictures like those it is for; labels are not needed. Needs a backend with DSConv kernels, whose
 * matrix products do most of the work. The same seed gives the same network on the same backend.
 *
 * @throws InvalidArgumentError as `quantizeNetwork`, or when there are no pictures or they have another size
 * @throws NotFiniteError naming the layer and index of a NaN or infinite weight
 */
export async function calibrateNetwork(
  network: Network,
  pictures: CalibrationPictures,
  options: CalibrateOptions,
): Promise<{ network: Network; report: CalibrationReport }> {
  const plans = planNetwork(network, options);
  if (!Number.isInteger(pictures.count) || pictures.count < 1) {
    throw new InvalidArgumentError(`pictures.count is ${pictures.count}; expected at least one picture`);
  }
  const calibration = await CalibrationRun.start(network, pictures, plans, options);
  const weights = new Map<string, LayerWeights>();
  try {
    for (const { layer } of plans) {
      if (layer.kind !== 'norm') continue;
      const { filter, bias } = network.weights.get(layer.name)!;
      weights.set(layer.name, { filter: (filter as Float32Array).slice(), bias: bias!.slice() });
    }
    for (const convolution of calibration.structure.convolutions) {
      const { layer } = convolution;
      options.onProgress?.({ done: weights.size, total: plans.length, layer });
      await new Promise<void>((resolve) => setTimeout(resolve));
      weights.set(layer, await calibration.fit(convolution));
    }
  } finally {
    calibration.dispose();
  }
  options.onProgress?.({ done: plans.length, total: plans.length, layer: null });
  const { architecture, preprocessing, labels, metadata } = network;
  const { activationBits = 8 } = options;
  const quantized = new Network({ architecture, weights, preprocessing, labels, activationBits, metadata });
  const report = {
    ...makeReport(network, quantized, plans.length - calibration.rounded.length),
    pictures: calibration.pictures,
    rounded: calibration.rounded,
  };
  return { network: quantized, report };
}
