/**
 * The DSConv kernels by stock operators, for tests of whole networks: activations are rounded to BFP by core, then convolved with ŵ. Equal
 * to the definition up to float32 rounding, and as fast as the backend's float convolution.
 */
import {
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  type DSConvFilter,
  roundToBfp,
} from '@dsconv/core';
import {
  add,
  conv2d,
  depthwiseConv2d,
  keep,
  type NamedTensorMap,
  registerKernel,
  relu,
  relu6,
  type Tensor,
  type Tensor4D,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';

const weights = new WeakMap<DSConvFilter, Tensor4D>();

function weightsOf(filter: DSConvFilter): Tensor4D {
  let tensor = weights.get(filter);
  if (!tensor) {
    tensor = keep(tensor4d(filter.dequantize(), [...filter.shape]));
    weights.set(filter, tensor);
    filter.onDispose(() => tensor?.dispose());
  }
  return tensor;
}

function run(inputs: NamedTensorMap, attributes: DSConvAttributes): Tensor {
  const { filter, geometry: g, activation, activationBits, outputFormat } = attributes;
  return tidy(() => {
    let x = inputs.x as Tensor4D;
    if (activationBits !== null) {
      const format = { bits: activationBits, blockSize: filter.blockSize, groups: g.groups };
      x = tensor4d(roundToBfp(x.dataSync() as Float32Array, g.inChannels, format), x.shape);
    }
    const operator = filter.kind === 'depthwise' ? depthwiseConv2d : conv2d;
    const pad = [
      [0, 0],
      [g.padTop, g.padBottom],
      [g.padLeft, g.padRight],
      [0, 0],
    ];
    let y: Tensor = operator(x, weightsOf(filter), [g.strideHeight, g.strideWidth], pad as never);
    if (inputs.bias) y = add(y, inputs.bias);
    if (inputs.residual) y = add(y, inputs.residual);
    if (activation === 'relu') y = relu(y);
    if (activation === 'relu6') y = relu6(y);
    if (!outputFormat) return y;
    return tensor4d(
      roundToBfp(y.dataSync() as Float32Array, g.outChannels, outputFormat),
      y.shape as Tensor4D['shape'],
    );
  });
}

/** Registers both kernels for a stock backend such as 'wasm' or 'cpu'. */
export function registerEmulatedKernels(backendName: string): void {
  for (const kernelName of [DSCONV2D, DS_DEPTHWISE_CONV2D]) {
    registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs }) =>
        run(inputs as unknown as NamedTensorMap, attrs as unknown as DSConvAttributes),
    });
  }
}
