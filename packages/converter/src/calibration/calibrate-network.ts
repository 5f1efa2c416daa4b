/** Quantization with unlabelled pictures: layer by layer, each fitted to make up for what the layers before it lost. */
import { type LayerWeights, Network } from '@dsconv/models';
import { quantizeToTarget } from '../allocation/quantize-to-target.js';
import { makeReport, planNetwork, withoutTarget, withScaledRanges } from '../quantize-network.js';
import { calibrateLayers } from './calibrate-layers.js';
import type { CalibrateOptions, CalibrationPictures, CalibrationReport } from './calibrate-options.js';
import { zooNetwork } from './float-network.js';

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
  if (options.target) {
    const { fit: { roundingDamping: damping } = {} } = options;
    const toTarget = { ...options, target: options.target, ...(damping === undefined ? {} : { damping }) };
    return quantizeToTarget(network, pictures, toTarget, (from, layers, some) =>
      calibrateNetwork(from, some!, { ...withoutTarget(options), layers }),
    );
  }
  const plans = planNetwork(network, options);
  const { activationBits = 8 } = options;
  const float = withScaledRanges(network, plans, options);
  const weights = new Map<string, LayerWeights>();
  for (const { layer } of plans) {
    if (layer.kind !== 'norm') continue;
    const { filter, bias } = network.weights.get(layer.name)!;
    weights.set(layer.name, { filter: (filter as Float32Array).slice(), bias: bias!.slice() });
  }
  const calibration = await calibrateLayers(zooNetwork(float, plans, activationBits), pictures, options);
  for (const [name, found] of calibration.layers) weights.set(name, found);
  const { architecture, preprocessing, labels, metadata } = network;
  const quantized = new Network({ architecture, weights, preprocessing, labels, activationBits, metadata });
  const report = {
    ...makeReport(network, quantized, plans.length - calibration.rounded.length),
    pictures: calibration.pictures,
    rounded: calibration.rounded,
  };
  return { network: quantized, report };
}
