/** Statistics of one convolution from all pictures: what its filter sees in the quantized network, what the float one makes of the same picture. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Random } from '../random.js';
import type { CovarianceAccumulator } from './covariance.js';
import { gatherPatches, roundPatches, samplePositions } from './patches.js';
import type { ConvolutionNode } from './structure.js';

/**
 * Adds patches of a batch to a layer's statistics.
 *
 * @param x input in the quantized network, NHWC, one group
 * @param y output before residual and activation in the float network
 * @param wanted patches per picture
 */
export function sampleRows(
  { attributes }: ConvolutionNode,
  x: Tensor4D,
  y: Tensor4D,
  wanted: number,
  random: Random,
  into: CovarianceAccumulator,
): void {
  const { geometry, filter, activationBits } = attributes;
  const [batch, outputs] = [x.shape[0], y.shape[3]];
  const xs = x.dataSync() as Float32Array;
  const ys = y.dataSync() as Float32Array;
  const [perInput, perOutput] = [xs.length / batch, ys.length / batch];
  const rowLength = geometry.kernelHeight * geometry.kernelWidth * geometry.inChannels;
  for (let n = 0; n < batch; n++) {
    const positions = samplePositions(geometry, wanted, random);
    const rows = new Float32Array(positions.length * rowLength);
    const picture = xs.subarray(n * perInput, (n + 1) * perInput);
    gatherPatches(picture, geometry, positions, rows, 0);
    if (activationBits !== null) roundPatches(rows, geometry.inChannels, filter.blockSize, activationBits);
    const wantedOutputs = new Float32Array(positions.length * outputs);
    positions.forEach((position, row) => {
      const from = n * perOutput + position * outputs;
      wantedOutputs.set(ys.subarray(from, from + outputs), row * outputs);
    });
    into.add(rows, wantedOutputs);
  }
}

/** Means over all pixels of all pictures, channel by channel. */
export class ChannelMeans {
  private readonly sums: Float64Array;
  private count = 0;

  constructor(private readonly channels: number) {
    this.sums = new Float64Array(channels);
  }

  /** @param values `[pixels, channels]` */
  add(values: Float32Array): void {
    const { channels, sums } = this;
    for (let at = 0; at < values.length; at += channels) {
      for (let c = 0; c < channels; c++) sums[c]! += values[at + c]!;
    }
    this.count += values.length / channels;
  }

  finish(): Float64Array {
    return this.sums.map((sum) => sum / this.count);
  }
}
