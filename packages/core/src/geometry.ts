/** Shape arithmetic of a two-dimensional convolution, resolved once by the operator and handed to every kernel. */
import { InvalidArgumentError } from './errors.js';

/** Padding as in `tf.conv2d`; a number pads every side, pairs pad `[[top, bottom], [left, right]]`. */
export type Padding =
  | 'same'
  | 'valid'
  | number
  | readonly [readonly [number, number], readonly [number, number]];

/** Everything a kernel needs to know about the loop nest; NHWC activations. */
export interface ConvGeometry {
  readonly batch: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly dilationHeight: number;
  readonly dilationWidth: number;
  readonly padTop: number;
  readonly padBottom: number;
  readonly padLeft: number;
  readonly padRight: number;
  readonly groups: number;
}

export interface ConvGeometryOptions {
  /** `[batch, height, width, channels]`. */
  inputShape: readonly [number, number, number, number];
  /** `[kernelHeight, kernelWidth]`. */
  kernelSize: readonly [number, number];
  outChannels: number;
  strides: number | readonly [number, number];
  dilations?: number | readonly [number, number];
  pad: Padding;
  groups?: number;
}

/**
 * Resolves strides, dilations and padding. 'same' gives `ceil(in / stride)` outputs with the odd pixel of padding at the
 * bottom and right, as TensorFlow does; everything else gives `floor((in + pad - dilation*(k-1) - 1) / stride) + 1`.
 *
 * @throws InvalidArgumentError when a value is out of range or the window is larger than the padded input
 */
export function resolveGeometry(options: ConvGeometryOptions): ConvGeometry {
  const [batch, inHeight, inWidth, inChannels] = options.inputShape;
  const [kernelHeight, kernelWidth] = options.kernelSize;
  const [strideHeight, strideWidth] = pair(options.strides, 'strides');
  const [dilationHeight, dilationWidth] = pair(options.dilations ?? 1, 'dilations');
  const groups = options.groups ?? 1;
  if (!Number.isInteger(groups) || groups < 1) {
    throw new InvalidArgumentError(`groups is ${groups}; expected a positive integer`);
  }
  const vertical = resolveAxis(options.pad, 0, inHeight, kernelHeight, strideHeight, dilationHeight);
  const horizontal = resolveAxis(options.pad, 1, inWidth, kernelWidth, strideWidth, dilationWidth);
  return {
    batch,
    inHeight,
    inWidth,
    inChannels,
    outHeight: vertical.size,
    outWidth: horizontal.size,
    outChannels: options.outChannels,
    kernelHeight,
    kernelWidth,
    strideHeight,
    strideWidth,
    dilationHeight,
    dilationWidth,
    padTop: vertical.before,
    padBottom: vertical.after,
    padLeft: horizontal.before,
    padRight: horizontal.after,
    groups,
  };
}

function pair(value: number | readonly [number, number], name: string): [number, number] {
  const result: [number, number] = typeof value === 'number' ? [value, value] : [value[0], value[1]];
  for (const part of result) {
    if (!Number.isInteger(part) || part < 1) {
      throw new InvalidArgumentError(
        `${name} is ${JSON.stringify(value)}; expected one or two positive integers`,
      );
    }
  }
  return result;
}

const AXES = ['height', 'width'] as const;

function resolveAxis(
  pad: Padding,
  axis: 0 | 1,
  input: number,
  kernel: number,
  stride: number,
  dilation: number,
): { size: number; before: number; after: number } {
  const window = dilation * (kernel - 1) + 1;
  if (pad === 'same') {
    const size = Math.ceil(input / stride);
    const total = Math.max(0, (size - 1) * stride + window - input);
    const before = Math.floor(total / 2);
    return { size, before, after: total - before };
  }
  let before = 0;
  let after = 0;
  if (typeof pad === 'number') {
    before = pad;
    after = pad;
  } else if (Array.isArray(pad) && pad.length === 2 && Array.isArray(pad[axis])) {
    before = pad[axis][0];
    after = pad[axis][1];
  } else if (pad !== 'valid') {
    throw new InvalidArgumentError(
      `pad is ${JSON.stringify(pad)}; expected 'same', 'valid', a number or [[top, bottom], [left, right]]`,
    );
  }
  for (const part of [before, after]) {
    if (!Number.isInteger(part) || part < 0) {
      throw new InvalidArgumentError(`pad is ${JSON.stringify(pad)}; expected non-negative integers`);
    }
  }
  const size = Math.floor((input + before + after - window) / stride) + 1;
  if (size < 1) {
    throw new InvalidArgumentError(
      `a window of ${window} (kernel ${kernel}, dilation ${dilation}) does not fit the padded input ${AXES[axis]} of ${input + before + after}`,
    );
  }
  return { size, before, after };
}
