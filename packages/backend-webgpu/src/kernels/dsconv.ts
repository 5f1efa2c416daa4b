/** Kernels `DSConv2D` and `DSDepthwiseConv2D`. */
import { DS_DEPTHWISE_CONV2D, DSCONV2D, type DSConvAttributes, UnsupportedError } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { KernelConfig, KernelFunc, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { Epilogue } from '../gpu/call.js';
import { checkLimits } from '../gpu/limits.js';
import type { FloatFilter, GpuState, PackedFilter } from '../gpu/state.js';
import { bufferOf, encode, withTemporary } from '../gpu/stream.js';
import { stateOf } from '../states.js';
import {
  type ConvolutionCall,
  convolutionDispatch,
  inputImage,
  quantizeDispatch,
  roundDispatch,
  roundsItself,
  variantOf,
} from './convolution.js';

interface Arguments {
  inputs: NamedTensorInfoMap;
  backend: WebGPUBackend;
  attrs: DSConvAttributes;
}

function run({ inputs, backend, attrs }: Arguments): TensorInfo {
  const { geometry: g } = attrs;
  const state = stateOf(backend);
  const filter = state.filter(attrs.filter, g.groups, attrs.activationBits);
  const shape = [g.batch, g.outHeight, g.outWidth, g.outChannels];
  if (shape.includes(0)) return backend.makeTensorInfo(shape, 'float32', new Float32Array(0));
  const pictures = checkLimits(state, attrs);
  const whole = describe(state, attrs, inputs, filter);
  const off = state.disabled.get(variantOf(state, whole).key);
  if (off !== undefined) throw new UnsupportedError(off);
  const parts = Array.from({ length: Math.ceil(g.batch / pictures) }, (_, n) => ({
    first: n * pictures,
    call: describe(state, partOf(attrs, n * pictures, pictures), inputs, filter),
  }));
  const output = backend.makeTensorInfo(shape, 'float32');
  try {
    for (const part of parts) launch(state, part, attrs, inputs, output);
  } catch (error) {
    backend.disposeData(output.dataId);
    throw error;
  }
  return output;
}

/** The same convolution of some pictures of its batch. */
function partOf(attrs: DSConvAttributes, first: number, pictures: number): DSConvAttributes {
  const { geometry } = attrs;
  return { ...attrs, geometry: { ...geometry, batch: Math.min(pictures, geometry.batch - first) } };
}

function describe(
  state: GpuState,
  attrs: DSConvAttributes,
  inputs: NamedTensorInfoMap,
  packed: PackedFilter | FloatFilter,
): ConvolutionCall {
  const { filter, geometry, activation, leakyreluAlpha, activationBits, outputFormat } = attrs;
  const depthwise = filter.kind === 'depthwise';
  const format = activationBits === null ? null : { bits: activationBits, blockSize: filter.blockSize };
  const epilogue: Epilogue = {
    bias: inputs.bias !== undefined,
    residual: inputs.residual ? 'float' : null,
    activation,
    leakyreluAlpha,
    round: outputFormat && roundsItself(state, outputFormat, geometry, depthwise) ? outputFormat : null,
    writesFloat: true,
    image: null,
  };
  return {
    geometry,
    depthwise,
    multiplier: depthwise ? filter.shape[3] : 0,
    blockSize: filter.blockSize,
    filter: packed,
    image: format && inputImage(geometry, format, depthwise),
    epilogue,
    special: false,
  };
}

/** Records a call that computes the pictures from `first` on. */
function launch(
  state: GpuState,
  { first, call }: { first: number; call: ConvolutionCall },
  attrs: DSConvAttributes,
  inputs: NamedTensorInfoMap,
  output: TensorInfo,
): void {
  const { backend } = state;
  const { image, geometry: g } = call;
  const slice = (info: TensorInfo | undefined) => (info ? { buffer: bufferOf(backend, info) } : null);
  /** The pictures of a tensor that has some. */
  const part = (info: TensorInfo | undefined, perPicture: number) =>
    info ? { ...slice(info)!, offset: 4 * first * perPicture, size: 4 * g.batch * perPicture } : null;
  const perOutput = g.outHeight * g.outWidth * g.outChannels;
  const x = part(inputs.x, g.inHeight * g.inWidth * g.inChannels)!;
  const result = part(output, perOutput)!;
  const operands = {
    input: x,
    bias: slice(inputs.bias),
    slopes: slice(inputs.preluActivationWeights),
    residual: part(inputs.residual, perOutput),
    result,
    image: null,
  };
  const { outputFormat } = attrs;
  const after =
    outputFormat && call.epilogue.round === null
      ? [roundDispatch(state, g.batch * g.outHeight * g.outWidth, g.outChannels, outputFormat, result)]
      : [];
  const tensors = [...Object.values(inputs).filter((info) => info !== undefined), output];
  if (image === null) {
    encode(backend, [convolutionDispatch(state, call, operands), ...after], tensors);
    return;
  }
  withTemporary(backend, image.byteLength, (buffer) => {
    const input = { buffer };
    const convolution = convolutionDispatch(state, call, { ...operands, input });
    encode(backend, [quantizeDispatch(state, image, x, input), convolution, ...after], tensors);
  });
}

const kernelFunc = run as unknown as KernelFunc;

export const dsconvKernels: Omit<KernelConfig, 'backendName'>[] = [
  { kernelName: DSCONV2D, kernelFunc },
  { kernelName: DS_DEPTHWISE_CONV2D, kernelFunc },
];
