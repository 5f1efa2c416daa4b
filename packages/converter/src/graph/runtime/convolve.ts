/** One convolution, quantized or float, as the operators of a converted graph compute it. */
import {
  type Activation,
  type DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  InvalidArgumentError,
  type Padding,
} from '@dsconv/core';
import {
  concat,
  fused,
  mul,
  reshape,
  sigmoid,
  split,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
} from '@tensorflow/tfjs-core';

export interface ConvolveArguments {
  depthwise: boolean;
  strides: [number, number];
  dilations: [number, number];
  pad: 'same' | 'valid' | [[number, number], [number, number]];
  groups: number;
  activation: Activation;
  leakyreluAlpha: number;
  /** Mantissa bits of a quantized convolution's activations, null for float ones. */
  activationBits: number | null;
  bias?: Tensor | undefined;
  preluActivationWeights?: Tensor | undefined;
}

/**
 * @param x `[batch, height, width, channels]`, or `[batch, channels]` for a filter of 1 × 1, which then is a dense layer
 * @param filter a filter, or float weights of the same layout
 */
export function convolve(x: Tensor, filter: DSConvFilter | Tensor4D, options: ConvolveArguments): Tensor {
  if (x.rank !== 2) return convolve4d(x as Tensor4D, filter, options);
  const [batch, channels] = x.shape as [number, number];
  const y = convolve4d(reshape(x, [batch, 1, 1, channels]) as Tensor4D, filter, options);
  return reshape(y, [batch, y.shape[3]!]);
}

function convolve4d(x: Tensor4D, filter: DSConvFilter | Tensor4D, options: ConvolveArguments): Tensor {
  if (!isTensor(filter)) {
    const { depthwise, strides, pad, groups, ...rest } = options;
    return depthwise
      ? dsDepthwiseConv2d(x, filter, strides, pad as Padding, rest)
      : dsconv2d(x, filter, strides, pad as Padding, { ...rest, groups });
  }
  return options.groups === 1 ? floatConvolve(x, filter, options) : grouped(x, filter, options);
}

function floatConvolve(x: Tensor4D, filter: Tensor4D, options: ConvolveArguments): Tensor {
  const { depthwise, strides, dilations, pad, activation, bias, preluActivationWeights, leakyreluAlpha } =
    options;
  const y = (depthwise ? fused.depthwiseConv2d : fused.conv2d)({
    x,
    filter,
    strides,
    dilations,
    // Explicit padding is missing from the types of the fused operators only.
    pad: (typeof pad === 'string' ? pad : [[0, 0], ...pad, [0, 0]]) as 'same',
    // TensorFlow.js knows silu in no fused operator.
    activation: activation === 'silu' ? 'linear' : activation,
    leakyreluAlpha,
    ...(bias ? { bias } : {}),
    ...(preluActivationWeights ? { preluActivationWeights } : {}),
  });
  return activation === 'silu' ? mul(y, sigmoid(y)) : y;
}

/** TensorFlow.js has no grouped convolution: one for each group. */
function grouped(x: Tensor4D, filter: Tensor4D, options: ConvolveArguments): Tensor {
  const { groups, bias, preluActivationWeights } = options;
  if (x.shape[3] % groups !== 0 || filter.shape[3] % groups !== 0) {
    throw new InvalidArgumentError(
      `groups is ${groups}; expected a divisor of ${x.shape[3]} input and ${filter.shape[3]} output channels`,
    );
  }
  const xs: Tensor4D[] = split(x, groups, 3);
  const ws: Tensor4D[] = split(filter, groups, 3);
  const cut = (vector: Tensor | undefined): (Tensor | undefined)[] =>
    vector ? split(vector as Tensor1D, groups) : [];
  const biases = cut(bias);
  const slopes = cut(preluActivationWeights);
  const parts = xs.map((part, g) =>
    floatConvolve(part, ws[g]!, {
      ...options,
      groups: 1,
      bias: biases[g],
      preluActivationWeights: slopes[g],
    }),
  );
  return concat(parts, 3);
}

function isTensor(filter: DSConvFilter | Tensor4D): filter is Tensor4D {
  return 'dataId' in filter;
}
