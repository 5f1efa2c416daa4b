/**
 * A classifier behind a global pooling reads one row per picture, too few for a covariance of hundreds of inputs. What it misses is how features
 * vary within pictures, which the tensors before the pooling show: their covariance is added to the classifier's.
 */

import type { TraceNode, ValueId } from '@dsconv/core';
import type { NamedTensorMap, Tensor } from '@tensorflow/tfjs-core';
import { CovarianceAccumulator } from './covariance.js';
import type { Matrix } from './matrix.js';
import type { ConvolutionNode } from './structure.js';

export class PooledFeatures {
  private readonly pooled = new Map<ValueId, CovarianceAccumulator>();

  /** Looks at a node before it is run. */
  see({ kernel, outputs }: TraceNode, { x }: NamedTensorMap): void {
    if ((kernel !== 'Mean' && kernel !== 'AvgPool') || x!.shape.length !== 4) return;
    const [batch, height, width, channels] = x!.shape as [number, number, number, number];
    const { value, shape } = outputs[0]!;
    const isGlobal = shape.at(-1) === channels && shape.reduce((a, b) => a * b, 1) === batch * channels;
    if (!isGlobal || height * width === 1) return;
    const accumulator = this.pooled.get(value) ?? new CovarianceAccumulator(channels, 1);
    this.pooled.set(value, accumulator);
    const values = (x as Tensor).dataSync() as Float32Array;
    accumulator.add(values, new Float32Array(values.length / channels));
  }

  /** The covariance of the features that the convolution's input was pooled from, or null. */
  async take({ node }: ConvolutionNode): Promise<Matrix | null> {
    const { value } = node.inputs.x!;
    const accumulator = this.pooled.get(value);
    this.pooled.delete(value);
    return accumulator ? (await accumulator.finish()).covariance : null;
  }

  dispose(): void {
    for (const accumulator of this.pooled.values()) accumulator.dispose();
    this.pooled.clear();
  }
}
