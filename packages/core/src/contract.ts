/**
 * The kernel contract: what a backend implements so that `dsconv2d` and `dsDepthwiseConv2d` run on it.
 *
 * Level 1 (required). Register the TensorFlow.js kernels `DSConv2D` and `DSDepthwiseConv2D` for the backend's name and describe the
 * backend with {@link registerDSConvBackend}. A kernel gets float32 NHWC tensors and {@link DSConvAttributes} and returns a new float32
 * tensor of shape `[batch, outHeight, outWidth, outChannels]`. Guarantees asked of it:
 *   - it computes what NUMERICS §4 defines, within §5, or `supports` declines with a reason; there is no third way;
 *   - it never writes to an input; the result may be ready later (`data()` waits), but reads see it;
 *   - a packing of the filter is made once per filter and freed on `filter.onDispose`.
 * The operator has validated shapes and attributes before a kernel runs.
 *
 * Level 2 (optional). `compilePlan` turns a recorded function (trace.ts) into a plan (plan.ts) that runs whole networks.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { BfpFormat } from './bfp.js';
import { UnsupportedError } from './errors.js';
import type { DSConvFilter, FilterKind } from './filter.js';
import type { ConvGeometry } from './geometry.js';
import type { Trace } from './trace.js';

/** Version of this contract. A backend states the one it was written for. */
export const CONTRACT_VERSION = 1;

export const DSCONV2D = 'DSConv2D';
export const DS_DEPTHWISE_CONV2D = 'DSDepthwiseConv2D';
export type DSConvKernelName = typeof DSCONV2D | typeof DS_DEPTHWISE_CONV2D;

/** Activations fused into the operator, by TensorFlow.js's names. */
export const ACTIVATIONS = ['linear', 'relu', 'relu6', 'silu', 'leakyrelu', 'prelu'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** Attributes of both kernels. */
export interface DSConvAttributes {
  filter: DSConvFilter;
  geometry: ConvGeometry;
  activation: Activation;
  /** Slope of 'leakyrelu' below zero. */
  leakyreluAlpha: number;
  /** Mantissa bits `m` of the BFP activations, 2 to 8; null means float activations (weight-only quantization). */
  activationBits: number | null;
  /** When given, the result is rounded to this BFP grid (it stays float32). */
  outputFormat: Required<BfpFormat> | null;
}

/**
 * Tensor inputs of both kernels, by name: `x` NHWC; optional `bias` `[outChannels]`; optional `residual` of the output's
 * shape, added before the activation; `preluActivationWeights` `[outChannels]` with activation 'prelu'.
 */
export const INPUT_NAMES = ['x', 'bias', 'residual', 'preluActivationWeights'] as const;
export type DSConvInputName = (typeof INPUT_NAMES)[number];

/** A case as plain data, for `supports`: everything but the numbers. */
export interface DSConvSpec {
  kernel: DSConvKernelName;
  geometry: ConvGeometry;
  bits: number;
  blockSize: number;
  /** Which shifters the filter has. */
  shifters: { kds: boolean; kdsBias: boolean; cds: boolean; cdsBias: boolean };
  activation: Activation;
  activationBits: number | null;
  outputFormat: Required<BfpFormat> | null;
  hasBias: boolean;
  hasResidual: boolean;
}

/** True, or one sentence that says why not. */
export type Support = true | { readonly reason: string };

/** State of one implementation inside a backend (an instruction set, an adapter, …). */
export interface TierStatus {
  tier: string;
  available: boolean;
  /** Why it is not available, or what should be known about it. */
  reason?: string | undefined;
}

/** What a backend makes of a trace. All values are float32. */
export interface CompiledPlan {
  /** Bytes of the memory that holds every activation. */
  readonly arenaBytes: number;
  /** Bytes of the largest set of activations that live at the same time: the least the arena can have. */
  readonly liveBytes: number;
  /** Fills `outputs` from `inputs`, both dense. The inputs are read before it returns; the outputs are complete when the Promise is. */
  run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void>;
  /**
   * The same for tensors of the backend, where they live on a device: nothing comes to the host. Used by `Plan.run` while the plan's backend is the
   * current one. The inputs may be disposed of once the call has returned its Promise; the results are new tensors.
   */
  runTensors?(inputs: readonly Tensor[]): Promise<Tensor[]>;
  dispose(): void;
}

/** What may be told to `compilePlan`. */
export interface CompileOptions {
  /** Called after each step of a compilation that takes time, such as a shader. */
  onProgress?: (done: number, total: number, what: string) => void;
}

/** What a backend package tells core about itself. */
export interface DSConvBackend {
  /** The TensorFlow.js backend name, as for `tf.setBackend`. */
  readonly name: string;
  readonly contractVersion: number;
  /** Pure: answers from the spec alone, without touching a device. */
  supports(spec: DSConvSpec): Support;
  /** Silent check whether the backend can run on this machine. Must not throw. */
  probe(): Promise<Support>;
  /** All tiers, best first, each available or with the reason why not. */
  tiers(): Promise<TierStatus[]>;
  /** The tier in use, or null before the backend was created. */
  activeTier(): string | null;
  /** Registers a TensorFlow.js backend that is pinned to one tier and returns its name; for tests, `doctor` and benchmarks. */
  pinTier?(tier: string): string;
  /**
   * Level 2: makes a plan of a trace that was recorded on this backend.
   *
   * @throws TraceError naming the operation that it does not know; the function then runs eagerly
   */
  compilePlan?(trace: Trace, options?: CompileOptions): Promise<CompiledPlan>;
}

const backends = new Map<string, DSConvBackend>();

/**
 * Makes a backend known to `selectBackend` and to the operators. Called by backend packages when they are imported.
 *
 * @throws UnsupportedError when it was written for another version of the contract
 */
export function registerDSConvBackend(backend: DSConvBackend): void {
  if (backend.contractVersion !== CONTRACT_VERSION) {
    throw new UnsupportedError(
      `backend '${backend.name}' implements kernel contract ${backend.contractVersion}; this version of core needs ${CONTRACT_VERSION}`,
    );
  }
  backends.set(backend.name, backend);
}

/** The description of a backend, or undefined when no package registered it. */
export function getDSConvBackend(name: string): DSConvBackend | undefined {
  return backends.get(name);
}

/** Names of all registered backends, in the order of registration. */
export function listDSConvBackends(): string[] {
  return [...backends.keys()];
}

/** The spec of a call, from what the operator resolved. */
export function specOf(
  kernel: DSConvKernelName,
  attributes: DSConvAttributes,
  inputs: { bias: boolean; residual: boolean },
): DSConvSpec {
  const { filter, geometry, activation, activationBits, outputFormat } = attributes;
  return {
    kernel,
    geometry,
    bits: filter.bits,
    blockSize: filter.blockSize,
    shifters: {
      kds: filter.stored('kds') !== undefined,
      kdsBias: filter.stored('kdsBias') !== undefined,
      cds: filter.stored('cds') !== undefined,
      cdsBias: filter.stored('cdsBias') !== undefined,
    },
    activation,
    activationBits,
    outputFormat,
    hasBias: inputs.bias,
    hasResidual: inputs.residual,
  };
}

/** Which kernel serves a kind of filter. */
export function kernelFor(kind: FilterKind): DSConvKernelName {
  return kind === 'depthwise' ? DS_DEPTHWISE_CONV2D : DSCONV2D;
}
