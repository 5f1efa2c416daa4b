/**
 * A network's behaviour without its pictures. Noise drives the network; behind every convolution each channel is brought to the mean and deviation
 * that batch normalization knows from training, as a batch normalization of the noise itself would do. The scales and shifts go into the weights:
 * what comes out is a float network that answers noise as the given one answers pictures, as far as batch normalization tells. Layers without one
 * stay as they are.
 */
import { type LayerSpec, type LayerWeights, Network, outChannels } from '@dsconv/models';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import type { ConvolutionNode } from '../calibration/structure.js';
import type { LayerPlan } from '../quantize-network.js';
import { FloatRun, type FloatRunOptions } from './float-run.js';

/** A channel that is nearly constant for the noise is not blown up by more than this. */
const MOST_GAIN = 100;

/** @param pictures of noise */
export async function shapeNetwork(
  network: Network,
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
  pictures: CalibrationPictures,
  options: FloatRunOptions,
): Promise<Network> {
  const weights = new Map<string, LayerWeights>(network.weights);
  const run = await FloatRun.start(network, plans, pictures, options);
  try {
    for (const convolution of run.structure.convolutions) {
      await new Promise<void>((resolve) => setTimeout(resolve));
      run.reach(convolution);
      const layer = network.architecture.layers.find(({ name }) => name === convolution.layer)!;
      const stored = network.weights.get(layer.name)!;
      if (stored.statistics) {
        const shaped = shapeLayer(layer, stored, outputMoments(run, convolution, outChannels(layer)));
        weights.set(layer.name, shaped);
        run.set(layer, shaped.filter as Float32Array, shaped.bias!);
      }
      run.pass(convolution);
    }
  } finally {
    run.dispose();
  }
  const { architecture, preprocessing, labels, metadata, activationBits } = network;
  return new Network({ architecture, weights, preprocessing, labels, metadata, activationBits });
}

interface ChannelMoments {
  mean: Float64Array;
  deviation: Float64Array;
}

/** Of a convolution's outputs over all pixels of all pictures, before residual and activation. */
function outputMoments(run: FloatRun, convolution: ConvolutionNode, channels: number): ChannelMoments {
  const [sum, squares] = [new Float64Array(channels), new Float64Array(channels)];
  let count = 0;
  for (const stream of run.streams) {
    const y = run.output(convolution, stream);
    const values = y.dataSync() as Float32Array;
    y.dispose();
    for (let at = 0; at < values.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const value = values[at + c]!;
        sum[c]! += value;
        squares[c]! += value * value;
      }
    }
    count += values.length / channels;
  }
  const mean = sum.map((total) => total / count);
  const deviation = squares.map((total, c) => Math.sqrt(Math.max(0, total / count - mean[c]! ** 2)));
  return { mean, deviation };
}

function shapeLayer(
  layer: LayerSpec,
  { filter, bias, statistics }: LayerWeights,
  found: ChannelMoments,
): LayerWeights {
  const outputs = outChannels(layer);
  const gain = found.deviation.map((deviation, c) => {
    const wanted = statistics!.deviation[c]!;
    return Math.min(MOST_GAIN, deviation > 0 ? wanted / deviation : 1);
  });
  const shifts = Float32Array.from(gain, (factor, c) => {
    return ((bias?.[c] ?? 0) - found.mean[c]!) * factor + statistics!.mean[c]!;
  });
  return {
    filter: (filter as Float32Array).map((w, n) => w * gain[n % outputs]!),
    bias: shifts,
    statistics: statistics!,
  };
}
