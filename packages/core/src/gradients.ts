/**
 * Gradients of both kernels, so that a quantized convolution may stand inside `tf.grads`.
 *
 * Both roundings count as the identity (straight-through, NUMERICS §6): the gradient for `x` is that of a float convolution with ŵ. Filters
 * are attributes, not variables, and get none here; training them is the business of the layers package. Only stock kernels are
 * used, so this runs on every backend.
 */
import {
  add,
  concat,
  conv2dTranspose,
  customGrad,
  DepthwiseConv2dNativeBackpropInput,
  engine,
  greater,
  minimum,
  mul,
  onesLike,
  sigmoid,
  slice,
  step,
  sub,
  sum,
  type Tensor,
  type Tensor4D,
  tensor4d,
  where,
} from '@tensorflow/tfjs-core';
import { DSCONV2D, type DSConvAttributes, type DSConvKernelName } from './contract.js';

/** Named inputs of a kernel call; optional ones are left out, not undefined. */
export type DSConvInputs = { x: Tensor4D } & { [name: string]: Tensor };

/** Runs a kernel on the current backend so that TensorFlow.js can differentiate through it. */
export function runWithGradient(
  kernel: DSConvKernelName,
  inputs: DSConvInputs,
  attributes: DSConvAttributes,
): Tensor4D {
  const names = Object.keys(inputs);
  const differentiable = customGrad((...tensorsAndSave: unknown[]) => {
    const tensors = tensorsAndSave.slice(0, -1) as Tensor[];
    const save = tensorsAndSave.at(-1) as (tensors: Tensor[]) => void;
    const value = runKernel(kernel, inputs, attributes);
    save(tensors);
    const gradFunc = (dy: Tensor, saved: Tensor[]): Tensor[] => {
      const named = Object.fromEntries(names.map((name, n) => [name, saved[n]!]));
      return gradients(kernel, dy as Tensor4D, named as DSConvInputs, attributes);
    };
    return { value, gradFunc };
  });
  return differentiable(...names.map((name) => inputs[name]!)) as Tensor4D;
}

function runKernel(kernel: DSConvKernelName, inputs: DSConvInputs, attributes: DSConvAttributes): Tensor4D {
  return engine().runKernel(kernel, inputs, attributes as never) as Tensor4D;
}

/** One gradient per input, in the order of `inputs`. */
function gradients(
  kernel: DSConvKernelName,
  dy: Tensor4D,
  inputs: DSConvInputs,
  attributes: DSConvAttributes,
): Tensor[] {
  const { activation } = attributes;
  const { preluActivationWeights: slopes, ...linearInputs } = inputs;
  // The slope of the activation depends on the value before it, which is computed again: cheaper than keeping it on the tape.
  const before =
    activation === 'linear'
      ? undefined
      : runKernel(kernel, linearInputs as DSConvInputs, {
          ...attributes,
          activation: 'linear',
          outputFormat: null,
        });
  const dSum = before ? mul(dy, activationSlope(before, attributes, slopes)) : dy;
  return Object.keys(inputs).map((name) => {
    switch (name) {
      case 'x':
        return inputGradient(kernel, dSum as Tensor4D, attributes);
      case 'bias':
        return sum(dSum, [0, 1, 2]);
      case 'residual':
        return dSum.clone();
      default:
        return sum(mul(dy, minimum(before!, 0)), [0, 1, 2]);
    }
  });
}

function activationSlope(before: Tensor, attributes: DSConvAttributes, slopes: Tensor | undefined): Tensor {
  switch (attributes.activation) {
    case 'linear':
      return onesLike(before);
    case 'relu':
      return step(before);
    case 'relu6':
      return mul(step(before), step(sub(6, before)));
    case 'silu': {
      const s = sigmoid(before);
      return mul(s, add(1, mul(before, sub(1, s))));
    }
    case 'leakyrelu':
      return step(before, attributes.leakyreluAlpha);
    case 'prelu':
      return where(greater(before, 0), onesLike(before), mul(onesLike(before), slopes!));
  }
}

/**
 * Gradient for `x`. Stock kernels know neither dilation nor uneven padding nor groups here, so the filter is spread out with zeros,
 * the gradient of the padded input is taken with 'valid' padding and cropped, one group at a time.
 */
function inputGradient(kernel: DSConvKernelName, dy: Tensor4D, attributes: DSConvAttributes): Tensor4D {
  const { filter, geometry: g } = attributes;
  const paddedHeight = g.inHeight + g.padTop + g.padBottom;
  const paddedWidth = g.inWidth + g.padLeft + g.padRight;
  const strides: [number, number] = [g.strideHeight, g.strideWidth];
  const weights = spreadFilter(attributes);
  let padded: Tensor4D;
  if (kernel === DSCONV2D) {
    const [, , depth, outputs] = filter.shape;
    const perGroup = outputs / g.groups;
    const parts = Array.from({ length: g.groups }, (_, group) =>
      conv2dTranspose(
        slice(dy, [0, 0, 0, group * perGroup], [-1, -1, -1, perGroup]),
        slice(weights, [0, 0, 0, group * perGroup], [-1, -1, -1, perGroup]),
        [g.batch, paddedHeight, paddedWidth, depth],
        strides,
        'valid',
      ),
    );
    padded = (g.groups === 1 ? parts[0]! : concat(parts, 3)) as Tensor4D;
  } else {
    padded = engine().runKernel(DepthwiseConv2dNativeBackpropInput, { dy, filter: weights }, {
      strides,
      pad: 'valid',
      dilations: [1, 1],
      inputShape: [g.batch, paddedHeight, paddedWidth, g.inChannels],
    } as never) as Tensor4D;
  }
  return slice(padded, [0, g.padTop, g.padLeft, 0], [g.batch, g.inHeight, g.inWidth, g.inChannels]);
}

/** ŵ with its taps moved apart by the dilation. */
function spreadFilter(attributes: DSConvAttributes): Tensor4D {
  const { filter, geometry: g } = attributes;
  const [kh, kw, inner, outer] = filter.shape;
  const weights = filter.dequantize();
  const height = (kh - 1) * g.dilationHeight + 1;
  const width = (kw - 1) * g.dilationWidth + 1;
  const size = inner * outer;
  const spread = new Float32Array(height * width * size);
  for (let h = 0; h < kh; h++) {
    for (let w = 0; w < kw; w++) {
      const from = (h * kw + w) * size;
      spread.set(
        weights.subarray(from, from + size),
        (h * g.dilationHeight * width + w * g.dilationWidth) * size,
      );
    }
  }
  return tensor4d(spread, [height, width, inner, outer]);
}
