/** How the outputs of a float network's convolutions are distributed, seen on a few pictures: what batch normalizations tell elsewhere. */
import {
  dispose,
  type Tensor1D,
  type Tensor4D,
  tensor,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from './calibrate-options.js';
import { checkPicture, type FloatLayer, type FloatNetwork, outputsOf } from './float-network.js';
import { finishFloat, runFloat, Stream } from './stream.js';
import { type ConvolutionNode, constantTensors, type NetworkStructure } from './structure.js';

/** Mean and deviation of every output channel before residual and activation. */
export type MeasuredOutputs = NonNullable<NonNullable<FloatLayer['statistics']>>;

/** What lies within so many deviations of the mean is counted on; the largest value seen is made to. */
const DEVIATIONS = 6;

/**
 * Runs the float network on the first pictures.
 *
 * @param structure recorded for one picture at a time
 * @param most pictures that are looked at
 * @returns by the name of the layer; those that the network does not run are missing
 */
export async function measureOutputs(
  network: Pick<FloatNetwork, 'inputShape' | 'dtype' | 'layers'>,
  structure: NetworkStructure,
  pictures: CalibrationPictures,
  most: number,
): Promise<Map<string, MeasuredOutputs>> {
  const moments = new Map<string, ChannelMoments>();
  const constants = constantTensors(structure);
  try {
    for (let n = 0; n < Math.min(most, pictures.count); n++) {
      const picture = await pictures.read(n);
      checkPicture(picture, n, network.inputShape);
      const x = tensor(picture, [1, ...network.inputShape], network.dtype);
      const stream = Stream.start(structure, constants, x);
      x.dispose();
      try {
        for (const convolution of structure.convolutions) {
          const layer = network.layers.get(convolution.layer)!;
          stream.advance(convolution.index, unreachable);
          stream.settle(tidy(() => see(convolution, layer, stream, moments)));
        }
      } finally {
        stream.dispose();
      }
      await new Promise<void>((resolve) => setTimeout(resolve));
    }
  } finally {
    dispose([...constants.values()]);
  }
  return new Map([...moments].map(([name, found]) => [name, found.finish()]));
}

function see(
  convolution: ConvolutionNode,
  layer: FloatLayer,
  stream: Stream,
  moments: Map<string, ChannelMoments>,
): Tensor4D {
  const inputs = stream.inputsOf(convolution);
  const bias: Tensor1D | null = layer.bias ? tensor1d(layer.bias) : null;
  const y = runFloat(convolution, inputs.x, tensor4d(layer.weights, [...layer.shape]), bias);
  const channels = moments.get(layer.name) ?? new ChannelMoments(outputsOf(layer));
  moments.set(layer.name, channels);
  channels.add(y.dataSync() as Float32Array);
  return finishFloat(convolution, y, inputs);
}

class ChannelMoments {
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private readonly largest: Float64Array;
  private count = 0;

  constructor(private readonly channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
    this.largest = new Float64Array(channels).fill(-Infinity);
  }

  /** @param values `[pixels, channels]` */
  add(values: Float32Array): void {
    const { channels, sums, squares, largest } = this;
    for (let at = 0; at < values.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const value = values[at + c]!;
        sums[c]! += value;
        squares[c]! += value * value;
        if (value > largest[c]!) largest[c] = value;
      }
    }
    this.count += values.length / channels;
  }

  finish(): MeasuredOutputs {
    const mean = Float32Array.from(this.sums, (sum) => sum / this.count);
    const deviation = Float32Array.from(this.squares, (square, c) => {
      const spread = Math.sqrt(Math.max(0, square / this.count - mean[c]! ** 2));
      return Math.max(spread, (this.largest[c]! - mean[c]!) / DEVIATIONS);
    });
    return { mean, deviation };
  }
}

function unreachable({ layer }: ConvolutionNode): never {
  throw new Error(`layer '${layer}' is run between convolutions`);
}
