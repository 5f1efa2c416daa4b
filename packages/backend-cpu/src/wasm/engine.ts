/** The WebAssembly tiers: tensors in the module's heap, one call record for all convolutions. */
import { type Activation, type ConvGeometry, type DSConvFilter, FilterCache } from '@dsconv/core';
import type { BinaryCode, ConvolutionCall, Engine, MatMulCall, Operand } from '../engine.js';
import { TensorEntry } from '../tensor-entry.js';
import type { WasmHeap } from './heap.js';
import { ACTIVATION, BINARY, CALL, type Ptr } from './interface.js';
import { packFilter } from './pack-filter.js';

/** Words of a call record beyond those that every convolution has. */
interface ExtraWords {
  mantissa?: number;
  multiplier?: number;
  block?: number;
}

export class WasmEngine implements Engine {
  readonly extra = null;
  private readonly filters: FilterCache<Ptr>;

  constructor(readonly heap: WasmHeap) {
    this.filters = new FilterCache(
      (filter, groups) => packFilter(heap, filter, groups),
      (ptr) => heap.free(ptr),
    );
  }

  operand(entry: TensorEntry): Ptr {
    return entry.pointer();
  }

  allocate(length: number): TensorEntry {
    return TensorEntry.inHeap(this.heap, length);
  }

  dsconv(call: ConvolutionCall, filter: DSConvFilter, mantissa: number): void {
    const { dsconv2d, ds_depthwise } = this.heap.exports;
    if (filter.kind === 'depthwise') {
      const extra = { mantissa, multiplier: filter.shape[3], block: filter.blockSize };
      this.heap.check(
        ds_depthwise(this.record(call, this.filters.get(filter, 1), extra)),
        'DSDepthwiseConv2D',
      );
      return;
    }
    const packed = this.filters.get(filter, call.geometry.groups);
    this.heap.check(dsconv2d(this.record(call, packed, { mantissa })), 'DSConv2D');
  }

  bfpRound(
    x: Operand,
    y: Operand,
    pixels: number,
    channels: number,
    { bits, blockSize, groups }: { bits: number; blockSize: number; groups: number },
  ): void {
    const [from, to] = [x as Ptr, y as Ptr];
    this.heap.check(
      this.heap.exports.bfp_round(from, to, pixels, channels, groups, blockSize, bits),
      'outputFormat',
    );
  }

  conv2d(call: ConvolutionCall, filter: TensorEntry): void {
    const packed = this.packedFloatFilter(call.geometry, filter);
    this.heap.check(this.heap.exports.conv2d(this.record(call, packed, {})), 'Conv2D');
  }

  depthwise(call: ConvolutionCall, filter: TensorEntry, multiplier: number): void {
    const record = this.record(call, filter.pointer(), { multiplier });
    this.heap.check(this.heap.exports.depthwise(record), 'DepthwiseConv2dNative');
  }

  matMul(call: MatMulCall): void {
    const { batch, m, k, n, aStride, bStride, activation, leakyreluAlpha: alpha } = call;
    const [transposeA, transposeB] = [call.transposeA ? 1 : 0, call.transposeB ? 1 : 0];
    const [a, b, y] = [call.a, call.b, call.y] as [Ptr, Ptr, Ptr];
    const [bias, slopes] = [at(call.bias), at(call.slopes)];
    const status = this.heap.exports.matmul(
      ...([a, b, y, batch, m, k, n, transposeA, transposeB, aStride, bStride, bias] as const),
      ...([ACTIVATION[activation], alpha, slopes] as const),
    );
    this.heap.check(status, 'BatchMatMul');
  }

  pool(kind: 'max' | 'avg', x: Operand, y: Operand, g: ConvGeometry): void {
    const pool = kind === 'max' ? this.heap.exports.max_pool : this.heap.exports.avg_pool;
    pool(
      ...([
        x as Ptr,
        y as Ptr,
        g.batch,
        g.inHeight,
        g.inWidth,
        g.inChannels,
        g.outHeight,
        g.outWidth,
      ] as const),
      ...([g.kernelHeight, g.kernelWidth, g.strideHeight, g.strideWidth] as const),
      ...([g.dilationHeight, g.dilationWidth, g.padTop, g.padLeft] as const),
    );
  }

  mean(x: Operand, y: Operand, batch: number, pixels: number, channels: number): void {
    this.heap.exports.mean_hw(x as Ptr, y as Ptr, batch, pixels, channels);
  }

  binary(code: BinaryCode, a: Operand, b: Operand, y: Operand, count: number, period: number): void {
    this.heap.exports.binary(BINARY[code], a as Ptr, b as Ptr, y as Ptr, count, period);
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
    this.heap.exports.unary(ACTIVATION[code], x as Ptr, y as Ptr, count, alpha, at(slopes), period);
  }

  scaleShift(x: Operand, y: Operand, count: number, scale: Float32Array, shift: Float32Array): void {
    this.heap.withCopies([scale, shift], (f, s) => {
      this.heap.exports.scale_shift(x as Ptr, f!, s!, y as Ptr, count, scale.length);
    });
  }

  memory(): Record<string, number> {
    return { numBytesInHeap: this.heap.exports.heap_used(), heapByteLength: this.heap.byteLength };
  }

  /** The filter in panels; made once per tensor, since tensors do not change. */
  private packedFloatFilter(g: ConvGeometry, filter: TensorEntry): Ptr {
    const { heap } = this;
    const taps = g.kernelHeight * g.kernelWidth;
    // The same values may be seen through a reshape with other dimensions.
    if (filter.packedFilter?.taps !== taps) {
      const source = filter.pointer();
      const { conv2d_pack, conv2d_pack_bytes } = heap.exports;
      const ptr = heap.alloc(conv2d_pack_bytes(taps, g.inChannels, g.outChannels, 1) >>> 0);
      heap.check(conv2d_pack(ptr, source, taps, g.inChannels, g.outChannels, 1), 'packing a filter');
      const before = filter.packedFilter;
      before?.free();
      filter.packedFilter = { packing: ptr, taps, free: () => heap.free(ptr) };
    }
    return filter.packedFilter!.packing as Ptr;
  }

  private record(call: ConvolutionCall, filter: Ptr, extra: ExtraWords): Ptr {
    const g = call.geometry;
    const words = {
      [CALL.x]: call.x as Ptr,
      [CALL.filter]: filter,
      [CALL.y]: call.y as Ptr,
      [CALL.bias]: at(call.bias),
      [CALL.residual]: at(call.residual),
      [CALL.alphas]: at(call.slopes),
      [CALL.activation]: ACTIVATION[call.activation],
      [CALL.mantissa]: extra.mantissa ?? 0,
      [CALL.batch]: g.batch,
      [CALL.inH]: g.inHeight,
      [CALL.inW]: g.inWidth,
      [CALL.inC]: g.inChannels,
      [CALL.outH]: g.outHeight,
      [CALL.outW]: g.outWidth,
      [CALL.kh]: g.kernelHeight,
      [CALL.kw]: g.kernelWidth,
      [CALL.strideH]: g.strideHeight,
      [CALL.strideW]: g.strideWidth,
      [CALL.dilationH]: g.dilationHeight,
      [CALL.dilationW]: g.dilationWidth,
      [CALL.padTop]: g.padTop,
      [CALL.padLeft]: g.padLeft,
      [CALL.mult]: extra.multiplier ?? 0,
      [CALL.block]: extra.block ?? 0,
    };
    return this.heap.call(words, CALL.alpha, call.leakyreluAlpha);
  }
}

/** The null pointer for an absent operand. */
function at(operand: Operand | null): Ptr {
  return (operand ?? 0) as Ptr;
}
