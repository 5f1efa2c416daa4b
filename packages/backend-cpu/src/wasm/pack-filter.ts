/** From a filter to the panel layout of the WebAssembly kernels (wasm/README.md). */
import { combinedScales, combinedShiftBias, type DSConvFilter } from '@dsconv/core';
import type { WasmHeap } from './heap.js';
import { type Ptr, SCALE, type Status } from './interface.js';

/** @returns address of a packing that belongs to the caller */
export function packFilter(heap: WasmHeap, filter: DSConvFilter, groups: number): Ptr {
  return filter.kind === 'depthwise' ? packDepthwise(heap, filter) : packConv2d(heap, filter, groups);
}

function packConv2d(heap: WasmHeap, filter: DSConvFilter, groups: number): Ptr {
  const { ds_pack, ds_pack_bytes } = heap.exports;
  const { bits, blockSize, shape } = filter;
  const [kh, kw, depth, outputs] = shape;
  const taps = kh * kw;
  const shiftBias = combinedShiftBias(filter);
  const mode = filter.stored('kds') ? SCALE.perBlock : SCALE.perChannel;
  const bytes = ds_pack_bytes(bits, taps, depth, outputs, groups, blockSize, mode, shiftBias ? 1 : 0);
  return fill(heap, bytes, [filter.unpack(), combinedScales(filter), shiftBias], (dst, q, scales, shift) =>
    ds_pack(dst, q!, scales!, shift!, bits, taps, depth, outputs, groups, blockSize, mode),
  );
}

function packDepthwise(heap: WasmHeap, filter: DSConvFilter): Ptr {
  const { ds_depthwise_pack, ds_depthwise_pack_bytes } = heap.exports;
  const taps = filter.shape[0] * filter.shape[1];
  const outputs = filter.outChannels;
  const bytes = ds_depthwise_pack_bytes(filter.bits, taps, outputs, 0);
  return fill(heap, bytes, [filter.unpack(), filter.scales('cds')], (dst, q, scales) =>
    ds_depthwise_pack(dst, q!, scales!, 0, filter.bits, taps, outputs, 0),
  );
}

function fill(
  heap: WasmHeap,
  bytes: number,
  arrays: Parameters<WasmHeap['withCopies']>[0],
  pack: (dst: Ptr, ...ptrs: Ptr[]) => Status,
): Ptr {
  const dst = heap.alloc(bytes >>> 0);
  try {
    heap.withCopies(arrays, (...ptrs) => heap.check(pack(dst, ...ptrs), 'packing a filter'));
  } catch (error) {
    heap.free(dst);
    throw error;
  }
  return dst;
}
