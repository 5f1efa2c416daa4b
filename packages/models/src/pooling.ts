/** Poolings as PyTorch rounds them, by operators that every backend has. */
import { InvalidArgumentError } from '@dsconv/core';
import {
  avgPool,
  matMul,
  maxPool,
  reshape,
  type Tensor2D,
  type Tensor4D,
  tensor2d,
  transpose,
} from '@tensorflow/tfjs-core';
import type { LayerInput, Pooling } from './architecture.js';

interface Size {
  height: number;
  width: number;
}

/**
 * Size of a picture after the pooling of a {@link LayerInput}.
 *
 * @throws InvalidArgumentError when no window fits
 */
export function pooledSize({ height, width }: Size, pool: LayerInput['pool']): Size {
  if (pool === undefined) return { height, width };
  if (pool === 'global') return { height: 1, width: 1 };
  if ('adaptive' in pool) {
    pooledSize({ height, width }, pool.before);
    return { height: pool.adaptive, width: pool.adaptive };
  }
  const pooled = { height: windows(height, pool), width: windows(width, pool) };
  if (pooled.height < 1 || pooled.width < 1) {
    throw new InvalidArgumentError(
      `a pooling window of ${pool.size} does not fit ${height}×${width} pixels padded by ${pool.pad}`,
    );
  }
  return pooled;
}

/** Number of windows along a side. One that would begin behind the picture and its padding is left out, as in PyTorch. */
function windows(side: number, { size, strides, pad, ceil = false }: Pooling): number {
  const steps = (side + 2 * pad - size) / strides;
  if (!ceil) return Math.floor(steps) + 1;
  const count = Math.ceil(steps) + 1;
  return (count - 1) * strides >= side + pad ? count - 1 : count;
}

/** Maximum pooling; padding never wins. Rounded up, the border gets the rows and columns that the last windows miss. */
export function maximumPool(x: Tensor4D, pooling: Pooling): Tensor4D {
  const { size, strides, pad, ceil = false } = pooling;
  if (!ceil) return maxPool(x, size, strides, pad);
  const after = (side: number): number =>
    Math.max(pad, (windows(side, pooling) - 1) * strides + size - side - pad);
  const [, height, width] = x.shape;
  return maxPool(x, size, strides, [
    [0, 0],
    [pad, after(height)],
    [pad, after(width)],
    [0, 0],
  ]);
}

/**
 * PyTorch's `AdaptiveAvgPool2d`: bin `i` of a side of `n` pixels is the mean of the pixels from `⌊i·n/size⌋` to `⌈(i+1)·n/size⌉`.
 *
 * @param size side of the result
 */
export function adaptiveAveragePool(x: Tensor4D, size: number): Tensor4D {
  const [batch, height, width, channels] = x.shape;
  if (height === size && width === size) return x;
  // One pixel is repeated: each window of this padded pooling holds it and nothing else.
  if (height === 1 && width === 1) return maxPool(x, size, 1, size - 1);
  if (height % size === 0 && width % size === 0) {
    const window: [number, number] = [height / size, width / size];
    return avgPool(x, window, window, 'valid');
  }
  // Linear along either side, so two products with matrices of bins; the picture is turned so that the side in question comes last.
  const byHeight = reshape(transpose(x, [0, 2, 3, 1]), [-1, height]);
  const rows = reshape(matMul(byHeight, bins(height, size)), [batch, width, channels, size]);
  const byWidth = reshape(transpose(rows, [0, 3, 2, 1]), [-1, width]);
  const columns = reshape(matMul(byWidth, bins(width, size)), [batch, size, channels, size]);
  return transpose(columns, [0, 1, 3, 2]) as Tensor4D;
}

/** `[side, size]`: the weight of every pixel in every bin. */
function bins(side: number, size: number): Tensor2D {
  const weights = new Float32Array(side * size);
  for (let bin = 0; bin < size; bin++) {
    const first = Math.floor((bin * side) / size);
    const end = Math.ceil(((bin + 1) * side) / size);
    for (let pixel = first; pixel < end; pixel++) weights[pixel * size + bin] = 1 / (end - first);
  }
  return tensor2d(weights, [side, size]);
}
