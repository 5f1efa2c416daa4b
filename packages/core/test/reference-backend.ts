/** A TensorFlow.js backend whose DSConv kernels are the float64 reference, so that the operators can be tested without a backend package. */
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import {
  copyRegisteredKernels,
  type KernelFunc,
  registerBackend,
  registerKernel,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import {
  CONTRACT_VERSION,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  type DSConvBackend,
  referenceDSConv2d,
  registerDSConvBackend,
  roundToBfp,
} from '../src/index.js';

export const referenceKernel: KernelFunc = ({ inputs, backend, attrs }) => {
  const cpu = backend as MathBackendCPU;
  const attributes = attrs as unknown as DSConvAttributes;
  const { geometry: g, filter, outputFormat } = attributes;
  const values = (info: TensorInfo | undefined) => info && (cpu.readSync(info.dataId) as Float32Array);
  const { output } = referenceDSConv2d(
    {
      x: values(inputs.x)!,
      bias: values(inputs.bias),
      residual: values(inputs.residual),
      preluActivationWeights: values(inputs.preluActivationWeights),
    },
    filter,
    attributes,
  );
  const y = Float32Array.from(output);
  const rounded = outputFormat ? roundToBfp(y, g.outChannels, outputFormat) : y;
  return cpu.makeTensorInfo([g.batch, g.outHeight, g.outWidth, g.outChannels], 'float32', rounded);
};

/** Registers the kernels and a description that `overrides` may change; returns the name. */
export function registerReferenceBackend(name: string, overrides: Partial<DSConvBackend> = {}): string {
  registerBackend(name, () => new MathBackendCPU());
  copyRegisteredKernels('cpu', name);
  for (const kernelName of [DSCONV2D, DS_DEPTHWISE_CONV2D]) {
    registerKernel({ kernelName, backendName: name, kernelFunc: referenceKernel });
  }
  registerDSConvBackend(describeBackend(name, overrides));
  return name;
}

export function describeBackend(name: string, overrides: Partial<DSConvBackend> = {}): DSConvBackend {
  return {
    name,
    contractVersion: CONTRACT_VERSION,
    supports: () => true,
    probe: async () => true,
    tiers: async () => [{ tier: 'float64', available: true }],
    activeTier: () => 'float64',
    ...overrides,
  };
}
