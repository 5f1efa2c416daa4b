/**
 * Float convolutions of TensorFlow.js with what its operators lack: any padding with any stride, dilation with stride, groups. Made of stock operators, so that they
 * have gradients on every backend.
 */
import type { ConvGeometry } from '@dsconv/core';
import { concat, conv2d, depthwiseConv2d, pad, reshape, slice, type Tensor4D } from '@tensorflow/tfjs-core';

/**
 * @param x float32 NHWC, as the geometry says
 * @param filter `[kh, kw, C / groups, O]`
 */
export function convolution(x: Tensor4D, filter: Tensor4D, g: ConvGeometry): Tensor4D {
  const weights = dilate(filter, g);
  const strides: [number, number] = [g.strideHeight, g.strideWidth];
  if (g.groups === 1) return conv2d(x, weights, strides, explicitPadding(g));
  const [inputs, outputs] = [g.inChannels / g.groups, g.outChannels / g.groups];
  const parts = Array.from({ length: g.groups }, (_, n) =>
    conv2d(
      slice(x, [0, 0, 0, n * inputs], [-1, -1, -1, inputs]),
      slice(weights, [0, 0, 0, n * outputs], [-1, -1, -1, outputs]),
      strides,
      explicitPadding(g),
    ),
  );
  return concat(parts, 3);
}

/** @param filter `[kh, kw, C, multiplier]` */
export function depthwiseConvolution(x: Tensor4D, filter: Tensor4D, g: ConvGeometry): Tensor4D {
  const strides: [number, number] = [g.strideHeight, g.strideWidth];
  return depthwiseConv2d(padInput(x, g), dilate(filter, g), strides, 'valid');
}

type ExplicitPadding = [[number, number], [number, number], [number, number], [number, number]];

function explicitPadding(g: ConvGeometry): ExplicitPadding {
  return [
    [0, 0],
    [g.padTop, g.padBottom],
    [g.padLeft, g.padRight],
    [0, 0],
  ];
}

/** The depthwise operator's gradient does not know explicit padding. */
function padInput(x: Tensor4D, g: ConvGeometry): Tensor4D {
  const none = g.padTop + g.padBottom + g.padLeft + g.padRight === 0;
  return none ? x : pad(x, explicitPadding(g));
}

/** The filter with zeros between its taps: TensorFlow.js has no gradient of a dilated convolution, and no dilation with strides. */
function dilate(filter: Tensor4D, g: ConvGeometry): Tensor4D {
  const [kh, kw, inner, outer] = filter.shape;
  let spread = filter;
  if (g.dilationHeight > 1 && kh > 1) {
    const rows = pad(reshape(filter, [kh, 1, kw * inner * outer]), [
      [0, 0],
      [0, g.dilationHeight - 1],
      [0, 0],
    ]);
    const all: Tensor4D = reshape(rows, [kh * g.dilationHeight, kw, inner, outer]);
    spread = slice(all, [0, 0, 0, 0], [(kh - 1) * g.dilationHeight + 1, kw, inner, outer]);
  }
  if (g.dilationWidth > 1 && kw > 1) {
    const height = spread.shape[0];
    const columns = pad(reshape(spread, [height * kw, 1, inner * outer]), [
      [0, 0],
      [0, g.dilationWidth - 1],
      [0, 0],
    ]);
    const all: Tensor4D = reshape(columns, [height, kw * g.dilationWidth, inner, outer]);
    spread = slice(all, [0, 0, 0, 0], [height, (kw - 1) * g.dilationWidth + 1, inner, outer]);
  }
  return spread;
}
