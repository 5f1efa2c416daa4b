/**
 * What the native addon of `@dsconv/backend-cpu` exports. The addon has no JavaScript of its own: node-gyp-build loads it, this file types it.
 *
 * Conventions
 * - Tensors are dense Float32Array, NHWC (activations) and HWIO (filters). Lengths are elements. An array may have any byte offset and any
 *   ArrayBuffer, a SharedArrayBuffer included; `y` may be longer than needed (the rest is not touched), inputs too.
 * - Outputs may not overlap inputs unless a function says so. Inputs are never written.
 * - Every mistake is an exception with a `code`, one sentence each, before anything is written:
 *     TypeError  `INVALID_ARGUMENT` a value of the wrong kind; `DISPOSED` a handle after dispose(), `INVALID_HANDLE` a foreign object;
 *     RangeError `OUT_OF_RANGE` a length, index or size that does not fit; `UNSUPPORTED` outside of what NUMERICS defines;
 *     Error      `OUT_OF_MEMORY`, `RUN_FAILED`, `CLOSED` (the environment is shutting down).
 * - Results do not depend on the number of threads, bit for bit.
 * - Eager functions are synchronous and use the same pool of threads as the plans.
 */

export type Isa = 'avx512vnni' | 'avxvnni' | 'avx2' | 'neon' | 'portable';

/** Index of each word of a call record; words that WASM's CALL has and this list lacks are not read. Unset words are 0. */
export interface CallWords {
  /** 0 linear, 1 relu, 2 relu6, 3 silu, 4 leakyrelu, 5 prelu. y = activation(acc + bias + residual); NaN passes through all. */
  activation: 7;
  /** Activation mantissa bits 2..8, or 0 for float activations (weight-only quantization). Ignored where the input is a BFP image. */
  mantissa: 9;
  batch: 10;
  inH: 11;
  inW: 12;
  /** All channels of x (groups * I). */
  inC: 13;
  outH: 14;
  outW: 15;
  kh: 16;
  kw: 17;
  strideH: 18;
  strideW: 19;
  dilationH: 20;
  dilationW: 21;
  /** Padding before; padding after follows from outH and outW. Negative padding crops. */
  padTop: 22;
  padLeft: 23;
  /** outputFormat: mantissa bits 2..8 (0: none), block size and groups (0: 1) over the output channels. */
  outputMantissa: 24;
  outputBlock: 25;
  outputGroups: 28;
  /** Depthwise kinds only: channel multiplier (O = inC * mult). */
  mult: 26;
  /** dsDepthwise only: activation block size over the inC channels. */
  block: 27;
}

/** Int32Array of 32 words. */
export type CallRecord = Int32Array;

/** A filter in this addon's own layout. Freed by dispose(), or when it is collected and no plan refers to it. */
export interface PackedFilter {
  /** Bytes held by the packing, 0 after dispose. */
  readonly byteLength: number;
  readonly disposed: boolean;
  /** 'dsconv2d' | 'dsDepthwise' | 'conv2d': the functions that take it. */
  readonly kind: 'dsconv2d' | 'dsDepthwise' | 'conv2d';
  /**
   * Two dsconv2d filters with equal keys (and the same mantissa) can read the same BFP image: the key lists channels, groups, block and
   * stored width, as `c256g1b64w4`, with `s` behind it where the image carries block sums. Empty for a filter that takes no image (its
   * kernel reads float32: depth below 16 with scales per channel, and all other kinds).
   */
  readonly imageKey: string;
  dispose(): void;
}

export interface FilterPacking {
  /** 2..8. Held in 2, 4 (3, 4) or 8 (5..8) bits a weight. */
  bits: number;
  /** dsconv2d: int8 `[taps][I][O]`; dsDepthwise: `[taps][C*mult]`; values within the bits. */
  q: Int8Array;
  taps: number;
  /** I = C / groups (dsDepthwise: 1). */
  inDepth: number;
  /** O over all groups (dsDepthwise: C * mult). */
  outChannels: number;
  /** 1 for dsDepthwise. */
  groups: number;
  /** Block size B along I (dsDepthwise: ignored). */
  block: number;
  /** cds[o]*kds[kh,kw,j,o] `[taps][nb][O]`, or cds[o] `[O]` where the filter has no kds: told apart by `perChannel`. */
  scales: Float32Array;
  perChannel: boolean;
  /** cds[o]*kdsBias[kh,kw,j,o] + cdsBias[o] `[taps][nb][O]`, or null. dsDepthwise: null. */
  shiftBias: Float32Array | null;
}

export interface Window2d {
  batch: number;
  inH: number;
  inW: number;
  channels: number;
  outH: number;
  outW: number;
  kh: number;
  kw: number;
  strideH: number;
  strideW: number;
  dilationH: number;
  dilationW: number;
  padTop: number;
  padLeft: number;
}

type Floats = Float32Array;
type MaybeFloats = Float32Array | null;

export interface DSConvNative {
  /** Set of kernels in use and those this machine could run. `DSCONV_CPU_ISA` in the environment forces one when the addon is loaded. */
  readonly isa: Isa;
  readonly isas: readonly Isa[];
  /** Number of this interface; a loader refuses another. */
  readonly interfaceVersion: 1;
  /** Known answers of every kernel family of the ISA in use: null, or one sentence on what came out wrong. Takes below 10 ms. */
  selfTest(): string | null;
  /**
   * Forces a set of kernels, for tests and benchmarks (packings stay valid: one layout). UNSUPPORTED for one this machine lacks; RUN_FAILED while a
   * plan lives or a call computes anywhere in the process.
   */
  setIsa(isa: Isa): void;
  /**
   * What one core can do at most with the instructions of the set in use: int8 dot products and float32 multiply-adds, in 10^9 multiply-accumulates per
   * second, measured now on registers alone. Takes about 50 ms.
   */
  measurePeaks(): { isa: Isa; int8Dot: number; floatFma: number };

  /** Gives memory that the C heap holds but does not use back to the system, where that is not a matter of course: with glibc. */
  trim(): void;

  // ---- threads ---------------------------------------------------------------------------------------------------------------
  /** Threads of the process-wide pool, the caller included: 1..256. Takes effect at the next call or step. Starts with 1. */
  setThreads(n: number): void;
  getThreads(): number;

  // ---- filters ---------------------------------------------------------------------------------------------------------------
  packDSConv2d(filter: FilterPacking): PackedFilter;
  packDSDepthwise(filter: FilterPacking): PackedFilter;
  /** w: f32 `[taps][I][O]`. */
  packConv2d(w: Floats, taps: number, inDepth: number, outChannels: number, groups: number): PackedFilter;

  // ---- eager: convolutions ---------------------------------------------------------------------------------------------------
  /** NUMERICS §4. y is `[batch, outH, outW, O]`; bias, alphas `[O]` or null; residual of y's shape or null, may be y itself. alpha: leakyrelu. */
  dsconv2d(
    call: CallRecord,
    filter: PackedFilter,
    x: Floats,
    y: Floats,
    bias: MaybeFloats,
    residual: MaybeFloats,
    alphas: MaybeFloats,
    alpha: number,
  ): void;
  dsDepthwise(
    call: CallRecord,
    filter: PackedFilter,
    x: Floats,
    y: Floats,
    bias: MaybeFloats,
    residual: MaybeFloats,
    alphas: MaybeFloats,
    alpha: number,
  ): void;
  /** Float convolution; filter from packConv2d. */
  conv2d(
    call: CallRecord,
    filter: PackedFilter,
    x: Floats,
    y: Floats,
    bias: MaybeFloats,
    residual: MaybeFloats,
    alphas: MaybeFloats,
    alpha: number,
  ): void;
  /** w: f32 `[kh, kw, C, mult]`. */
  depthwise(
    call: CallRecord,
    w: Floats,
    x: Floats,
    y: Floats,
    bias: MaybeFloats,
    residual: MaybeFloats,
    alphas: MaybeFloats,
    alpha: number,
  ): void;

  // ---- eager: gradients of the float convolutions (groups 1) --------------------------------------------------------------------
  /** dx `[batch, inH, inW, inC]` of dy `[batch, outH, outW, O]`; w `[kh, kw, inC, O]`. */
  conv2dBackpropInput(call: CallRecord, outChannels: number, dy: Floats, w: Floats, dx: Floats): void;
  /** dw `[kh, kw, inC, O]`. */
  conv2dBackpropFilter(call: CallRecord, outChannels: number, x: Floats, dy: Floats, dw: Floats): void;
  /** w `[kh, kw, C, mult]`, dy `[batch, outH, outW, C*mult]`; multiplier in the record. */
  depthwiseBackpropInput(call: CallRecord, dy: Floats, w: Floats, dx: Floats): void;
  depthwiseBackpropFilter(call: CallRecord, x: Floats, dy: Floats, dw: Floats): void;

  // ---- eager: the rest ---------------------------------------------------------------------------------------------------------
  /** x̂ of f32 rows, NUMERICS §3. y may be x. */
  bfpRound(
    x: Floats,
    y: Floats,
    pixels: number,
    channels: number,
    groups: number,
    block: number,
    mantissa: number,
  ): void;
  /** Gradient of bfpRound: dx is dy where the clamp changed nothing of x, else 0. dx may be dy. */
  bfpGradient(
    x: Floats,
    dy: Floats,
    dx: Floats,
    pixels: number,
    channels: number,
    groups: number,
    block: number,
    mantissa: number,
  ): void;
  /** Mean and variance (of the population) of every channel of x `[rows, channels]`; at least one row. */
  batchMoments(x: Floats, mean: Floats, variance: Floats, rows: number, channels: number): void;

  /** `y = (x - mean) / √(variance + epsilon) * gamma + beta`; y may be x. */
  batchNormalize(
    x: Floats,
    y: Floats,
    mean: Floats,
    variance: Floats,
    gamma: Floats,
    beta: Floats,
    epsilon: number,
    rows: number,
    channels: number,
  ): void;

  /** The gradient of `batchNormalize` with mean and variance of x itself; dx may be dy. */
  batchNormGradient(
    x: Floats,
    dy: Floats,
    dx: Floats,
    dgamma: Floats,
    dbeta: Floats,
    mean: Floats,
    variance: Floats,
    gamma: Floats,
    epsilon: number,
    rows: number,
    channels: number,
  ): void;

  /** y `[outer, inner]` is the sum over the middle axis of x `[outer, middle, inner]`. */
  sum(x: Floats, y: Floats, outer: number, middle: number, inner: number): void;
  /** Copies a box of `size` from `xFrom` in x to `yFrom` in y, both row-major of 1 to 6 axes. The rest of y stays. */
  copyBox(
    x: Floats,
    y: Floats,
    size: readonly number[],
    xShape: readonly number[],
    xFrom: readonly number[],
    yShape: readonly number[],
    yFrom: readonly number[],
  ): void;
  /** Gradients of the pools; of equal maxima the first has it, and each output of a mean spreads over the inputs that it read. */
  maxPoolGradient(x: Floats, dy: Floats, dx: Floats, window: Window2d): void;
  avgPoolGradient(dy: Floats, dx: Floats, window: Window2d): void;
  /**
   * y[b] = activation(op(a[b]) · op(b[b]) + bias); a `[m,k]` or `[k,m]` if transposeA; b `[k,n]` or `[n,k]` if transposeB; row-major.
   * aStride, bStride: elements from one batch entry to the next, 0 broadcasts. bias, alphas: f32 `[n]` or null.
   */
  matMul(
    a: Floats,
    b: Floats,
    y: Floats,
    batch: number,
    m: number,
    k: number,
    n: number,
    transposeA: boolean,
    transposeB: boolean,
    aStride: number,
    bStride: number,
    bias: MaybeFloats,
    activation: number,
    alpha: number,
    alphas: MaybeFloats,
  ): void;
  /** Window clipped to the image, NaN propagates; a window wholly outside gives -Infinity. */
  maxPool(x: Floats, y: Floats, window: Window2d): void;
  /** Divides by the count of elements inside the image; a window wholly outside gives NaN. */
  avgPool(x: Floats, y: Floats, window: Window2d): void;
  /** y[n][c] = mean over the hw pixels of x[n][hw][c]. */
  meanHW(x: Floats, y: Floats, batch: number, hw: number, channels: number): void;
  /** op: 0 add, 1 sub, 2 mul, 3 reverse sub, 4 max, 5 min, 6 div. y[i] = a[i] op b[i % period], i < n. y may be a, or b if period is n. */
  binary(op: number, a: Floats, b: Floats, y: Floats, n: number, period: number): void;
  /** activation codes as in the record, then 6 sigmoid, 7 tanh, 8 exp, 9 step (alpha below 0), 10 square, 11 sqrt, 12 rsqrt, 13 negate; prelu takes alphas[i % period]. y may be x. */
  unary(
    op: number,
    x: Floats,
    y: Floats,
    n: number,
    alpha: number,
    alphas: MaybeFloats,
    period: number,
  ): void;
  /** y[i] = x[i] * scale[i % channels] + shift[i % channels]. y may be x. */
  scaleShift(x: Floats, scale: Floats, shift: Floats, y: Floats, n: number, channels: number): void;
  /** Softmax over rows of `channels`. y may be x. */
  softmax(x: Floats, y: Floats, rows: number, channels: number): void;

  // ---- plans -------------------------------------------------------------------------------------------------------------------
  /** Checks everything, copies every constant, lays out the arena and returns a plan that is ready to run. */
  createPlan(plan: PlanDescription): NativePlan;
}

/** Number of a buffer in PlanDescription.buffers. */
export type BufferId = number;

export type BufferDescription =
  /** float32, `length` elements. */
  | { format: 'f32'; length: number }
  /**
   * A BFP image of `pixels` (batch * height * width) rows of `channels`: what dsconv2d filters of the same key read
   * (`PackedFilter.imageKey`). storage: 2, 4 or 8, the stored width of the filters' weights; sums: they have shift biases.
   */
  | {
      format: 'bfp';
      pixels: number;
      channels: number;
      groups: number;
      block: number;
      mantissa: number;
      storage: number;
      sums: boolean;
    };

export interface PlanDescription {
  buffers: BufferDescription[];
  /** Executed in order. A buffer is written by one step (or is an input) before it is read; a reshape is the same buffer. */
  steps: StepDescription[];
  /** f32 buffers that run() fills from its first argument, in order; never written by a step. */
  inputs: BufferId[];
  /** f32 buffers that run() copies out, in order. */
  outputs: BufferId[];
  /** Measure every step; see NativePlan.profile. */
  profile?: boolean;
}

/** Where a step's result goes: one buffer, or several holding the same tensor in several formats (f32 and/or BFP images). */
export type Sink = BufferId | BufferId[];

interface ConvolutionStep {
  /** Batch and geometry; outputMantissa rounds the tensor before any sink sees it (free where a sink has that very partition). */
  call: CallRecord;
  input: BufferId;
  output: Sink;
  bias?: MaybeFloats;
  /** f32, or a BFP image (then its x̂ is added). */
  residual?: BufferId;
  alphas?: MaybeFloats;
  alpha?: number;
}

export type StepDescription =
  /** input: f32 (quantized inside the step), or an image of the filter's key. */
  | ({ op: 'dsconv2d'; filter: PackedFilter } & ConvolutionStep)
  /** input: f32, or an image of block `call.block` and groups 1 (any storage). */
  | ({ op: 'dsDepthwise'; filter: PackedFilter } & ConvolutionStep)
  | ({ op: 'conv2d'; filter: PackedFilter } & ConvolutionStep)
  | ({ op: 'depthwise'; w: Floats } & ConvolutionStep)
  /** Copy or change of format: f32 to image (quantize), image to f32 (x̂), f32 to f32. `outputFormat` words as in a record, or absent. */
  | { op: 'convert'; input: BufferId; output: Sink; pixels: number; channels: number }
  | {
      op: 'bfpRound';
      input: BufferId;
      output: Sink;
      pixels: number;
      channels: number;
      groups: number;
      block: number;
      mantissa: number;
    }
  | { op: 'maxPool' | 'avgPool'; input: BufferId; output: Sink; window: Window2d }
  | { op: 'meanHW'; input: BufferId; output: Sink; batch: number; hw: number; channels: number }
  /** As matMul; b is a constant (copied) or a buffer. */
  | {
      op: 'matMul';
      a: BufferId;
      b: BufferId | Floats;
      output: BufferId;
      batch: number;
      m: number;
      k: number;
      n: number;
      transposeA?: boolean;
      transposeB?: boolean;
      aStride: number;
      bStride: number;
      bias?: MaybeFloats;
      activation?: number;
      alpha?: number;
      alphas?: MaybeFloats;
    }
  /** As binary; `channels` is the row length that sinks of format bfp need (n = pixels * channels). */
  | {
      op: 'binary';
      code: number;
      a: BufferId;
      b: BufferId | Floats;
      output: Sink;
      n: number;
      period: number;
      channels?: number;
      activation?: number;
    }
  | {
      op: 'unary';
      code: number;
      input: BufferId;
      output: Sink;
      n: number;
      alpha?: number;
      alphas?: MaybeFloats;
      period?: number;
      channels?: number;
    }
  | {
      op: 'scaleShift';
      input: BufferId;
      scale: Floats;
      shift: Floats;
      output: Sink;
      n: number;
      channels: number;
      activation?: number;
    }
  | { op: 'softmax'; input: BufferId; output: BufferId; rows: number; channels: number }
  /** Along the last axis: rows of channels[0] + channels[1] + …; inputs f32 or images (decoded). */
  | { op: 'concat'; inputs: BufferId[]; channels: number[]; output: Sink; pixels: number }
  /** Constant border around height and width. */
  | {
      op: 'pad';
      input: BufferId;
      output: Sink;
      batch: number;
      inH: number;
      inW: number;
      channels: number;
      top: number;
      bottom: number;
      left: number;
      right: number;
      value?: number;
    };

export interface NativePlan {
  /**
   * Copies the inputs (at once, they may change afterwards), queues one execution and resolves when `outputs` are filled. Runs of one plan follow each other;
   * steps of several plans take turns. Rejects with DISPOSED or CLOSED where dispose() or the end of the environment came first.
   */
  run(inputs: Float32Array[], outputs: Float32Array[]): Promise<void>;
  /** Runs the plan on the calling thread (and the pool) and returns when done. For benchmarks. */
  runSync(inputs: Float32Array[], outputs: Float32Array[]): void;
  /** Microseconds of each step in the last run that finished (plans created with `profile`), else null. */
  readonly profile: Float64Array | null;
  /** Bytes of activations, and of the largest set of buffers alive at one step (the lower bound). */
  readonly arenaBytes: number;
  readonly liveBytes: number;
  readonly disposed: boolean;
  /** Runs not yet started are rejected; a running one finishes first; memory goes when it has. Harmless when repeated. */
  dispose(): void;
}

declare const native: DSConvNative;
export default native;
