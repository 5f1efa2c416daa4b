/** Kernels `DSConv2D` and `DSDepthwiseConv2D`. */
import { DS_DEPTHWISE_CONV2D, DSCONV2D, type DSConvAttributes, UnsupportedError } from '@dsconv/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { type KernelArguments, kernelConfig } from '../backend.js';
import { type ConvolutionCall, inputImage, launchConvolution } from '../dsconv/convolution.js';
import { type DeviceFilter, deviceFilter } from '../dsconv/filters.js';

function run({ inputs, backend, attrs }: KernelArguments<DSConvAttributes>): TensorInfo {
  const { geometry: g, activationBits } = attrs;
  const filter = deviceFilter(backend, attrs.filter, g.groups, activationBits);
  const call = describe(attrs, filter, inputs);
  const off = backend.disabled.get(call.depthwise ? DS_DEPTHWISE_CONV2D : DSCONV2D);
  if (off !== undefined) throw new UnsupportedError(off);
  const address = (info: TensorInfo | undefined): number => backend.optional(info)?.address ?? 0;
  return backend.make([g.batch, g.outHeight, g.outWidth, g.outChannels], 'float32', (y) => {
    if (y.size === 0) return;
    launchConvolution(backend, call, {
      input: address(inputs.x),
      bias: address(inputs.bias),
      slopes: address(inputs.preluActivationWeights),
      residual: address(inputs.residual),
      result: y.address,
      image: 0,
    });
  });
}

function describe(
  attrs: DSConvAttributes,
  packed: DeviceFilter,
  inputs: KernelArguments['inputs'],
): ConvolutionCall {
  const { filter, geometry, activation, leakyreluAlpha, activationBits, outputFormat } = attrs;
  const depthwise = filter.kind === 'depthwise';
  const format = activationBits === null ? null : { bits: activationBits, blockSize: filter.blockSize };
  return {
    geometry,
    depthwise,
    multiplier: depthwise ? filter.shape[3] : 0,
    filter: packed,
    image: format && inputImage(geometry, format, depthwise),
    readsImage: false,
    epilogue: {
      bias: inputs.bias !== undefined,
      residual: inputs.residual ? 'float' : null,
      activation,
      leakyreluAlpha,
      round: outputFormat,
      writesFloat: true,
      image: null,
    },
  };
}

export const dsconvKernels = [kernelConfig(DSCONV2D, run), kernelConfig(DS_DEPTHWISE_CONV2D, run)];
