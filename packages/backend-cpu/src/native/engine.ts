/** The native tier: tensors are typed arrays, kernels a Node-API addon. */
import { type Activation, type ConvGeometry, type DSConvFilter, FilterCache } from '@dsconv/core';
import type { DSConvNative, PackedFilter } from '../../native/interface.js';
import type {
  BatchNormOperands,
  BinaryCode,
  Box,
  ConvolutionCall,
  Engine,
  ExtraBinaryCode,
  ExtraKernels,
  ExtraUnaryCode,
  GradientCall,
  MatMulCall,
  Operand,
  TrainingUnaryCode,
} from '../engine.js';
import { TensorEntry } from '../tensor-entry.js';
import { ArrayPool } from './array-pool.js';
import { callRecord, windowOf } from './call-record.js';
import { ACTIVATION, BINARY, UNARY } from './codes.js';
import { packFilter } from './pack-filter.js';

/** Milliseconds from a plan's creation to {@link NativeEngine.trimSoon}: after the loading code has dropped its parts of the network. */
const TRIM_DELAY = 100;

export class NativeEngine implements Engine, ExtraKernels {
  readonly heap = null;
  readonly extra = this;
  private readonly filters: FilterCache<PackedFilter>;
  private readonly arrays: ArrayPool;
  private trimming: ReturnType<typeof setTimeout> | null = null;

  /** @param bytesToKeep most memory of tensors that are gone that is kept for others; 0 where there are no tensors */
  constructor(
    readonly native: DSConvNative,
    bytesToKeep = 0,
  ) {
    this.arrays = new ArrayPool(bytesToKeep);
    this.filters = new FilterCache(
      (filter, groups) => packFilter(native, filter, groups),
      (packed) => packed.dispose(),
    );
  }

  operand(entry: TensorEntry): Float32Array {
    return entry.floats();
  }

  allocate(length: number): TensorEntry {
    return TensorEntry.inArray(this.arrays.take(length), this.arrays);
  }

  dsconv(call: ConvolutionCall, filter: DSConvFilter, mantissa: number): void {
    const depthwise = filter.kind === 'depthwise';
    const packed = this.packed(filter, call.geometry.groups);
    const { x, y, bias, residual, slopes, alpha } = arrays(call);
    const { activation, geometry } = call;
    if (depthwise) {
      const extra = { multiplier: filter.shape[3], block: filter.blockSize };
      const record = callRecord(geometry, { activation, mantissa, ...extra });
      this.native.dsDepthwise(record, packed, x, y, bias, residual, slopes, alpha);
      return;
    }
    const record = callRecord(geometry, { activation, mantissa });
    this.native.dsconv2d(record, packed, x, y, bias, residual, slopes, alpha);
  }

  bfpRound(
    x: Operand,
    y: Operand,
    pixels: number,
    channels: number,
    { bits, blockSize, groups }: { bits: number; blockSize: number; groups: number },
  ): void {
    const [from, to] = [x as Float32Array, y as Float32Array];
    this.native.bfpRound(from, to, pixels, channels, groups, blockSize, bits);
  }

  /** Loading and packing leave tens of megabytes of holes in the heap, which it would keep. Once for plans that are made in a row. */
  trimSoon(): void {
    this.trimming ??= setTimeout(() => {
      this.trimming = null;
      this.native.trim();
    }, TRIM_DELAY);
    // A program that is done need not wait.
    this.trimming.unref();
  }

  /** A filter's packing, which lives as long as the filter does, and in plans until they are gone. */
  packed(filter: DSConvFilter, groups: number): PackedFilter {
    return this.filters.get(filter, filter.kind === 'depthwise' ? 1 : groups);
  }

  conv2d(call: ConvolutionCall, filter: TensorEntry): void {
    const { x, y, bias, residual, slopes, alpha } = arrays(call);
    const record = callRecord(call.geometry, { activation: call.activation });
    const packed = this.packedFloatFilter(call.geometry, filter);
    this.native.conv2d(record, packed, x, y, bias, residual, slopes, alpha);
  }

  depthwise(call: ConvolutionCall, filter: TensorEntry, multiplier: number): void {
    const { x, y, bias, residual, slopes, alpha } = arrays(call);
    const record = callRecord(call.geometry, { activation: call.activation, multiplier });
    this.native.depthwise(record, filter.floats(), x, y, bias, residual, slopes, alpha);
  }

  matMul(call: MatMulCall): void {
    const { batch, m, k, n, transposeA, transposeB, aStride, bStride } = call;
    this.native.matMul(
      call.a as Float32Array,
      call.b as Float32Array,
      call.y as Float32Array,
      batch,
      m,
      k,
      n,
      transposeA,
      transposeB,
      aStride,
      bStride,
      call.bias as Float32Array | null,
      ACTIVATION[call.activation],
      call.leakyreluAlpha,
      call.slopes as Float32Array | null,
    );
  }

  pool(kind: 'max' | 'avg', x: Operand, y: Operand, g: ConvGeometry): void {
    const window = windowOf(g);
    const [from, to] = [x as Float32Array, y as Float32Array];
    if (kind === 'max') this.native.maxPool(from, to, window);
    else this.native.avgPool(from, to, window);
  }

  mean(x: Operand, y: Operand, batch: number, pixels: number, channels: number): void {
    this.native.meanHW(x as Float32Array, y as Float32Array, batch, pixels, channels);
  }

  binary(code: BinaryCode, a: Operand, b: Operand, y: Operand, count: number, period: number): void {
    const [left, right, to] = [a, b, y] as Float32Array[];
    this.native.binary(BINARY[code], left!, right!, to!, count, period);
  }

  unary(
    code: Activation,
    x: Operand,
    y: Operand,
    count: number,
    alpha: number,
    slopes: Operand | null,
    period: number,
  ): void {
    const [from, to] = [x as Float32Array, y as Float32Array];
    this.native.unary(ACTIVATION[code], from, to, count, alpha, slopes as Float32Array | null, period);
  }

  scaleShift(x: Operand, y: Operand, count: number, scale: Float32Array, shift: Float32Array): void {
    this.native.scaleShift(x as Float32Array, scale, shift, y as Float32Array, count, scale.length);
  }

  convolutionBackpropInput(
    { geometry, multiplier }: GradientCall,
    dy: Operand,
    filter: Operand,
    dx: Operand,
  ): void {
    const record = callRecord(geometry, { multiplier });
    const [from, weights, to] = [dy, filter, dx] as [Float32Array, Float32Array, Float32Array];
    if (multiplier > 0) this.native.depthwiseBackpropInput(record, from, weights, to);
    else this.native.conv2dBackpropInput(record, geometry.outChannels, from, weights, to);
  }

  convolutionBackpropFilter(
    { geometry, multiplier }: GradientCall,
    x: Operand,
    dy: Operand,
    dw: Operand,
  ): void {
    const record = callRecord(geometry, { multiplier });
    const [input, from, to] = [x, dy, dw] as [Float32Array, Float32Array, Float32Array];
    if (multiplier > 0) this.native.depthwiseBackpropFilter(record, input, from, to);
    else this.native.conv2dBackpropFilter(record, geometry.outChannels, input, from, to);
  }

  softmax(x: Operand, y: Operand, rows: number, channels: number): void {
    this.native.softmax(x as Float32Array, y as Float32Array, rows, channels);
  }

  extraBinary(
    code: ExtraBinaryCode,
    a: Operand,
    b: Operand,
    y: Operand,
    count: number,
    period: number,
  ): void {
    const [left, right, to] = [a, b, y] as [Float32Array, Float32Array, Float32Array];
    this.native.binary(BINARY[code], left, right, to, count, period);
  }

  extraUnary(
    code: ExtraUnaryCode | TrainingUnaryCode,
    x: Operand,
    y: Operand,
    count: number,
    alpha: number,
  ): void {
    this.native.unary(UNARY[code], x as Float32Array, y as Float32Array, count, alpha, null, 1);
  }

  sum(x: Operand, y: Operand, outer: number, middle: number, inner: number): void {
    this.native.sum(x as Float32Array, y as Float32Array, outer, middle, inner);
  }

  copyBox(x: Operand, y: Operand, { size, xShape, xFrom, yShape, yFrom }: Box): void {
    this.native.copyBox(x as Float32Array, y as Float32Array, size, xShape, xFrom, yShape, yFrom);
  }

  poolGradient(kind: 'max' | 'avg', x: Operand | null, dy: Operand, dx: Operand, g: ConvGeometry): void {
    const [from, to] = [dy as Float32Array, dx as Float32Array];
    if (kind === 'max') this.native.maxPoolGradient(x as Float32Array, from, to, windowOf(g));
    else this.native.avgPoolGradient(from, to, windowOf(g));
  }

  bfpGradient(
    x: Operand,
    dy: Operand,
    dx: Operand,
    pixels: number,
    channels: number,
    { bits, blockSize, groups }: { bits: number; blockSize: number; groups: number },
  ): void {
    const [source, from, to] = [x, dy, dx] as [Float32Array, Float32Array, Float32Array];
    this.native.bfpGradient(source, from, to, pixels, channels, groups, blockSize, bits);
  }

  batchMoments(x: Operand, mean: Operand, variance: Operand, rows: number, channels: number): void {
    const [from, means, variances] = [x, mean, variance] as [Float32Array, Float32Array, Float32Array];
    this.native.batchMoments(from, means, variances, rows, channels);
  }

  batchNormalize(given: BatchNormOperands, beta: Operand, y: Operand): void {
    const { x, mean, variance, gamma } = given as Record<'x' | 'mean' | 'variance' | 'gamma', Float32Array>;
    const [shift, to] = [beta as Float32Array, y as Float32Array];
    const { epsilon, rows, channels } = given;
    this.native.batchNormalize(x, to, mean, variance, gamma, shift, epsilon, rows, channels);
  }

  batchNormGradient(
    given: BatchNormOperands,
    dy: Operand,
    gradients: { dx: Operand; dgamma: Operand; dbeta: Operand },
  ): void {
    const { x, mean, variance, gamma } = given as Record<'x' | 'mean' | 'variance' | 'gamma', Float32Array>;
    const { dx, dgamma, dbeta } = gradients as Record<'dx' | 'dgamma' | 'dbeta', Float32Array>;
    const { epsilon, rows, channels } = given;
    const statistics = [mean, variance, gamma] as const;
    this.native.batchNormGradient(
      x,
      dy as Float32Array,
      dx,
      dgamma,
      dbeta,
      ...statistics,
      epsilon,
      rows,
      channels,
    );
  }

  memory(): Record<string, number> {
    return { numBytesFree: this.arrays.freeBytes };
  }

  /** Made once per tensor, since tensors do not change. */
  private packedFloatFilter(g: ConvGeometry, filter: TensorEntry): PackedFilter {
    const taps = g.kernelHeight * g.kernelWidth;
    if (filter.packedFilter?.taps !== taps) {
      const packed = this.native.packConv2d(filter.floats(), taps, g.inChannels, g.outChannels, 1);
      filter.packedFilter?.free();
      filter.packedFilter = { packing: packed, taps, free: () => packed.dispose() };
    }
    return filter.packedFilter!.packing as PackedFilter;
  }
}

function arrays(call: ConvolutionCall) {
  return {
    x: call.x as Float32Array,
    y: call.y as Float32Array,
    bias: call.bias as Float32Array | null,
    residual: call.residual as Float32Array | null,
    slopes: call.slopes as Float32Array | null,
    alpha: call.leakyreluAlpha,
  };
}
