/** The direct implementation as a TensorFlow.js backend: correct without a mutation, wrong in one known way with one. */
import {
  CONTRACT_VERSION,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  registerDSConvBackend,
} from '@dsconv/core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import {
  copyRegisteredKernels,
  enableProdMode,
  type KernelFunc,
  registerBackend,
  registerKernel,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { directConv } from './direct-conv.js';
import type { Mutation } from './mutations.js';

// Stock CPU backends advertise tfjs-node on first use; here that would be once per mutation.
enableProdMode();

/** Registers the backend and returns its name. */
export function registerDirectBackend(mutation: Mutation | null): string {
  const name = mutation === null ? 'direct' : `direct with ${mutation}`;
  return register(name, mutation, () => new MathBackendCPU());
}

/** A device's backend, by its interface: results are ready some time later, and nobody can wait for them without a Promise. */
class AsynchronousBackend extends MathBackendCPU {
  override async read(dataId: object): ReturnType<MathBackendCPU['read']> {
    await new Promise((resolve) => setTimeout(resolve));
    return super.readSync(dataId);
  }

  override readSync(): never {
    throw new Error('this backend can only be read asynchronously');
  }
}

/** The same, but without `dataSync`. */
export function registerAsynchronousBackend(mutation: Mutation | null): string {
  const name = mutation === null ? 'asynchronous' : `asynchronous with ${mutation}`;
  return register(name, mutation, () => new AsynchronousBackend());
}

function register(name: string, mutation: Mutation | null, create: () => MathBackendCPU): string {
  registerBackend(name, create);
  copyRegisteredKernels('cpu', name);
  for (const kernelName of [DSCONV2D, DS_DEPTHWISE_CONV2D]) {
    registerKernel({ kernelName, backendName: name, kernelFunc: kernelOf(mutation) });
  }
  registerDSConvBackend({
    name,
    contractVersion: CONTRACT_VERSION,
    supports: () => true,
    probe: async () => true,
    tiers: async () => [{ tier: 'direct', available: true }],
    activeTier: () => 'direct',
  });
  return name;
}

function kernelOf(mutation: Mutation | null): KernelFunc {
  return ({ inputs, backend, attrs }) => {
    const cpu = backend as MathBackendCPU;
    const attributes = attrs as unknown as DSConvAttributes;
    const values = (info: TensorInfo | undefined): Float32Array | undefined =>
      info && (cpu.data.get(info.dataId).values as Float32Array);
    const { batch, outHeight, outWidth, outChannels } = attributes.geometry;
    const output = directConv(
      {
        x: values(inputs.x)!,
        bias: values(inputs.bias),
        residual: values(inputs.residual),
        preluActivationWeights: values(inputs.preluActivationWeights),
      },
      attributes,
      (candidate) => candidate === mutation,
    );
    if (mutation === 'leak') cpu.makeTensorInfo([1], 'float32', new Float32Array(1));
    return cpu.makeTensorInfo([batch, outHeight, outWidth, outChannels], 'float32', output);
  };
}
