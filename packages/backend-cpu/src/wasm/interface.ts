/**
 * The typed list of what the WebAssembly modules export. `build/dsconv-simd.wasm` (SIMD128) and
 * `build/dsconv-relaxed.wasm` (relaxed SIMD) export the same functions with the same results; packed filters and BFP
 * images of one must not be handed to the other. `dsconv-simd-threads.wasm` and `dsconv-relaxed-threads.wasm` are the same for several
 * instances over one shared memory.
 *
 * Conventions
 * - No imports: `new WebAssembly.Instance(module).exports as unknown as DSConvWasm`. With threads: `ThreadImports` as `env`.
 * - `Ptr` is a byte offset into `memory`. WebAssembly returns it as a signed i32: write `ptr >>> 0` before you use it as
 *   an index (addresses beyond 2 GiB are negative otherwise). 0 means "none".
 * - Every `alloc` or kernel call may grow the memory, which detaches `memory.buffer`: make typed array views afresh after
 *   each call.
 * - Tensors are float32, dense, NHWC (activations), HWIO (filters). Lengths and sizes are elements unless named `bytes`.
 * - `Status`: 0 done; 1 out of memory (nothing useful written); 2 the arguments do not fit together (wrong filter, channel
 *   counts that differ, a mantissa outside 2..8, a block whose sums could leave 2^24). Kernels never trap on these.
 * - Nothing is written outside the output (and nothing is kept: scratch is allocated and freed within the call).
 * - Inputs may have size zero. Outputs may not overlap inputs unless a function says so.
 */
export type Ptr = number;
export type Status = 0 | 1 | 2;

/** Fused at the end of every convolution and matMul: y = activation(acc + bias + residual). NaN passes through all. */
export const ACTIVATION = { linear: 0, relu: 1, relu6: 2, silu: 3, leakyrelu: 4, prelu: 5 } as const;

/** Codes of `binary`. */
export const BINARY = { add: 0, sub: 1, mul: 2, reverseSub: 3 } as const;

/** How many 32-bit words a call record has: `alloc(4 * CALL_WORDS)`, filled with zeros, then set the words below. */
export const CALL_WORDS = 32;

/**
 * Word indices of a call record (Int32Array view; `alpha` is written through a Float32Array view of the same bytes).
 * One record serves `dsconv2d`, `ds_depthwise`, `conv2d` and `depthwise`; the record is only read.
 */
export const CALL = {
  /** f32 [batch, inH, inW, inC]. May be 0 for dsconv2d when `image` is given. */
  x: 0,
  /** dsconv2d only: a BFP image made by `bfp_quantize` from x for this filter's kind, or 0 to quantize inside the call. */
  image: 1,
  /** From `ds_pack`, `ds_depthwise_pack`, `conv2d_pack`, or (function `depthwise`) the plain f32 filter [kh, kw, C, mult]. */
  filter: 2,
  /** f32 [batch, outH, outW, O]. */
  y: 3,
  /** f32 [O] or 0. */
  bias: 4,
  /** f32, shape of y, or 0. May be y itself (y += …). */
  residual: 5,
  /** f32 [O], needed by prelu. */
  alphas: 6,
  /** one of ACTIVATION. */
  activation: 7,
  /** float32: slope of leakyrelu. */
  alpha: 8,
  /** activation mantissa bits 2..8, or 0 for float activations (weight-only quantization). */
  mantissa: 9,
  batch: 10,
  inH: 11,
  inW: 12,
  /** all channels of x (groups * I). */
  inC: 13,
  outH: 14,
  outW: 15,
  kh: 16,
  kw: 17,
  strideH: 18,
  strideW: 19,
  dilationH: 20,
  dilationW: 21,
  /** Padding before, negative to crop (an output tile of a larger image); padding after follows from outH and outW. */
  padTop: 22,
  padLeft: 23,
  /** outputFormat: mantissa bits 2..8 (0: none) and block size over the O channels; y is rounded in place at the end. */
  outputMantissa: 24,
  outputBlock: 25,
  /** depthwise kinds only: channel multiplier (O = inC * mult). */
  mult: 26,
  /** ds_depthwise only: activation block size over the inC channels. */
  block: 27,
} as const;

/** Flags of `ds_pack` and friends. */
export const SCALE = {
  /** `scales` is f32 [O], one scale for every tap and block. */
  perChannel: 0,
  /** `scales` is f32 [kh*kw][nb][O] with nb = ceil(I / block). */
  perBlock: 1,
} as const;

/** What a module with threads imports, as `env`. */
export interface ThreadImports extends WebAssembly.ModuleImports {
  /** Shared. */
  memory: WebAssembly.Memory;
  /** This instance's own words: `THREAD.callerArea`, or `THREAD.areaBytes` that the caller allocated and filled with zeros. */
  area: number;
  /** This instance's scratch: 0 for the caller, below `THREAD.limit`'s value for helpers. */
  slot: number;
  /** 1 where the thread may be put to sleep, which a browser's main thread may not. */
  may_wait: 0 | 1;
  /**
   * Called by the caller's instance while it waits for helpers to end their parts, with 0, 1, …; with -1 when one of them has failed. Goes on
   * waiting when it returns; what it throws ends the kernel.
   */
  overdue(round: number): void;
}

/** Where the words lie that threads share; bytes (wasm/assembly/threads.ts, memory-map.ts). */
export const THREAD = {
  /** Counts jobs; helpers sleep on it. */
  epoch: 1024,
  /** How many helpers are inside the job. */
  state: 1088,
  /** Helpers that serve. Each adds itself and takes itself away. */
  ready: 1280,
  /** Threads that may be used, the caller among them. */
  limit: 1344,
  /** Not 0 when a helper failed inside a job. */
  failed: 1408,
  /** Work (multiply-accumulates, or four to a moved byte) below which a kernel is the caller's alone. */
  least: 1472,
  callerArea: 2560,
  areaBytes: 512,
  /** In a helper's area: not 0 when it shall leave. */
  stop: 384,
  /** In any area: parts of jobs that the thread has computed. */
  taken: 388,
} as const;

export interface DSConvWasm {
  readonly memory: WebAssembly.Memory;

  /** 1 in modules with relaxed SIMD, else 0. */
  isa(): 0 | 1;
  /** With threads: what a helper does until its area says that it shall leave. */
  serve?(): void;

  // ---- memory -------------------------------------------------------------------------------------------------------
  /** 16-byte aligned, not zeroed; 0 when the memory cannot grow (4 GiB at most) or bytes is 0. */
  alloc(bytes: number): Ptr;
  /** Gives a block back (merged with free neighbours, reused by later allocs). free(0) is harmless. */
  free(ptr: Ptr): void;
  /** Bytes in live blocks, headers included: for leak tests. */
  heap_used(): number;

  // ---- block floating point (NUMERICS §3) -----------------------------------------------------------------------------
  /**
   * x̂ of f32 rows: y[p][c] for p < pixels, blocks of `block` channels within each of `groups` equal parts of the row.
   * y may be x (in place). Blocks with E < -100 become +0; a block with a NaN or infinity becomes NaN throughout.
   */
  bfp_round(
    x: Ptr,
    y: Ptr,
    pixels: number,
    channels: number,
    groups: number,
    block: number,
    mantissa: number,
  ): Status;
  /**
   * Bytes of a BFP image for this filter, or 0 if the filter does not take one. Pixels = batch * ceil(H / strideH) *
   * ceil(W / strideW) as below.
   */
  bfp_image_bytes(filter: Ptr, pixels: number): number;
  /**
   * Quantizes x [batch, H, W, C] once, for one or more dsconv2d calls whose filters have the same `bfp_image_kind`.
   * strideH/strideW other than 1 keep only every n-th row/column (for an unpadded strided 1×1 convolution: the following
   * dsconv2d is then given the smaller image's inH/inW and stride 1); otherwise pass 1, 1.
   * `image` is `bfp_image_bytes` long, 16-byte aligned.
   */
  bfp_quantize(
    filter: Ptr,
    x: Ptr,
    image: Ptr,
    batch: number,
    height: number,
    width: number,
    channels: number,
    strideH: number,
    strideW: number,
    mantissa: number,
  ): Status;
  /** Filters with equal kinds (a non-zero hash of row format, segment length, sums, groups, block, I) can share an image of
   *  the same mantissa; 0: this filter takes none. */
  bfp_image_kind(filter: Ptr): number;

  // ---- DSConv ---------------------------------------------------------------------------------------------------------
  /** Bytes of a packed filter. bits 2..8; taps = kh*kw; inDepth = I = C/groups; outChannels = O over all groups. */
  ds_pack_bytes(
    bits: number,
    taps: number,
    inDepth: number,
    outChannels: number,
    groups: number,
    block: number,
    scaleMode: number,
    hasShiftBias: number,
  ): number;
  /**
   * Packs a filter into `dst` (ds_pack_bytes long).
   * q: i8 [taps][I][O], values in [-2^(bits-1), 2^(bits-1)-1]. bits 2 are stored in 2, 3..4 in 4, 5..8 in 8 bits.
   * scales: f32, already cds[o]*kds[kh,kw,j,o] (perBlock), or cds[o] (perChannel: no kds; all ones if neither exists).
   * shiftBias: f32 [taps][nb][O] = cds[o]*kdsBias[kh,kw,j,o] + cdsBias[o], or 0.
   * The inputs are not referred to afterwards.
   */
  ds_pack(
    dst: Ptr,
    q: Ptr,
    scales: Ptr,
    shiftBias: Ptr,
    bits: number,
    taps: number,
    inDepth: number,
    outChannels: number,
    groups: number,
    block: number,
    scaleMode: number,
  ): Status;
  /** The operator of NUMERICS §4 (mantissa 2..8), or conv2d(x, ŵ) (mantissa 0). `call` is a CALL record. */
  dsconv2d(call: Ptr): Status;

  /** Bytes of a packed depthwise filter; outChannels = C * mult. */
  ds_depthwise_pack_bytes(bits: number, taps: number, outChannels: number, perTap: number): number;
  /**
   * q: i8 [taps][C*mult] (file order [kh][kw][C][mult]). scales: f32 [C*mult] = cds (perTap 0), or f32 [taps][C*mult] = cds*kds
   * (perTap 1). shiftBias: f32 [taps][C*mult] or 0, allowed with perTap 1 only.
   */
  ds_depthwise_pack(
    dst: Ptr,
    q: Ptr,
    scales: Ptr,
    shiftBias: Ptr,
    bits: number,
    taps: number,
    outChannels: number,
    perTap: number,
  ): Status;
  /** Depthwise DSConv; activation blocks of CALL.block channels over C; mantissa 0 = float activations. */
  ds_depthwise(call: Ptr): Status;

  // ---- float32 --------------------------------------------------------------------------------------------------------
  /** Bytes of a packed float filter. */
  conv2d_pack_bytes(taps: number, inDepth: number, outChannels: number, groups: number): number;
  /** w: f32 [taps][I][O]. Pack once and keep, or pack per call and free. */
  conv2d_pack(dst: Ptr, w: Ptr, taps: number, inDepth: number, outChannels: number, groups: number): Status;
  conv2d(call: Ptr): Status;
  /** CALL.filter is the plain f32 filter [kh, kw, C, mult]. */
  depthwise(call: Ptr): Status;
  /**
   * y[b] = act(op(a[b]) · op(b[b]) + bias); a: [m,k] or [k,m] if transposeA; b: [k,n] or [n,k] if transposeB. Row-major.
   * aStride, bStride: elements from one batch entry to the next (0 broadcasts). bias, alphas: f32 [n] or 0.
   */
  matmul(
    a: Ptr,
    b: Ptr,
    y: Ptr,
    batch: number,
    m: number,
    k: number,
    n: number,
    transposeA: number,
    transposeB: number,
    aStride: number,
    bStride: number,
    bias: Ptr,
    activation: number,
    alpha: number,
    alphas: Ptr,
  ): Status;
  /** Window clipped to the image, NaN propagates; a window wholly outside gives -Infinity. */
  max_pool(
    x: Ptr,
    y: Ptr,
    batch: number,
    inH: number,
    inW: number,
    channels: number,
    outH: number,
    outW: number,
    kh: number,
    kw: number,
    strideH: number,
    strideW: number,
    dilationH: number,
    dilationW: number,
    padTop: number,
    padLeft: number,
  ): void;
  /** Divides by the count of elements inside the image, as tfjs does; a window wholly outside gives NaN (0/0). */
  avg_pool(
    x: Ptr,
    y: Ptr,
    batch: number,
    inH: number,
    inW: number,
    channels: number,
    outH: number,
    outW: number,
    kh: number,
    kw: number,
    strideH: number,
    strideW: number,
    dilationH: number,
    dilationW: number,
    padTop: number,
    padLeft: number,
  ): void;
  /** y[n][c] = mean over the hw pixels of x[n][hw][c]. */
  mean_hw(x: Ptr, y: Ptr, batch: number, hw: number, channels: number): void;
  /** y[i] = a[i] op b[i % period], i < n; period = n (equal shapes), C (last axis) or 1 (scalar). y may be a or b (b: period n). */
  binary(op: number, a: Ptr, b: Ptr, y: Ptr, n: number, period: number): void;
  /** y[i] = activation(x[i]); op is one of ACTIVATION (prelu: alphas[i % period]). y may be x. */
  unary(op: number, x: Ptr, y: Ptr, n: number, alpha: number, alphas: Ptr, period: number): void;
  /** y[i] = x[i] * scale[i % channels] + shift[i % channels] (fused batch norm). y may be x. */
  scale_shift(x: Ptr, scale: Ptr, shift: Ptr, y: Ptr, n: number, channels: number): void;
}
