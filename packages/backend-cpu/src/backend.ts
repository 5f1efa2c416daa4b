import { DisposedError } from '@dsconv/core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { BackendValues, DataId, DataStorage, DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { util } from '@tensorflow/tfjs-core';
import { FilterCache } from './filter-cache.js';
import { TensorEntry } from './tensor-entry.js';
import type { CpuTier } from './tiers.js';
import type { WasmHeap } from './wasm-heap.js';
import type { Ptr } from './wasm-interface.js';

/** A float32 result that a WebAssembly kernel fills in. */
export interface HeapTensor {
  info: TensorInfo;
  ptr: Ptr;
}

/**
 * TensorFlow.js backend `dsconv-cpu`. In the WebAssembly tiers float32 tensors that a kernel here has touched live in the module's heap, so
 * that a network's activations are never copied; every other kernel is TensorFlow.js's own CPU kernel and sees typed arrays as ever.
 */
export class DSConvCpuBackend extends MathBackendCPU {
  /** Null in the `js` tier. */
  readonly heap: WasmHeap | null;
  readonly filters: FilterCache | null;
  readonly tier: CpuTier;
  private disposed = false;

  constructor(tier: CpuTier, heap: WasmHeap | null) {
    super();
    this.tier = tier;
    this.heap = heap;
    this.filters = heap ? new FilterCache(heap) : null;
  }

  override write(values: BackendValues, _shape: number[], dtype: DataType): DataId {
    const dataId = { id: this.createDataId() };
    this.entries.set(dataId, new TensorEntry(this.heap, this.detach(values), dtype, 1));
    return dataId;
  }

  override move(
    dataId: DataId,
    values: BackendValues,
    _shape: number[],
    dtype: DataType,
    refCount: number,
  ): void {
    this.entries.set(dataId, new TensorEntry(this.heap, this.detach(values), dtype, refCount));
  }

  override readSync(dataId: DataId): BackendValues {
    const entry = this.entries.get(dataId);
    // A view of the heap would change under the reader when the tensor is disposed.
    return entry.ptr !== 0 ? (entry.values as Float32Array).slice() : super.readSync(dataId);
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const entry = this.entries.has(dataId) ? this.entries.get(dataId) : null;
    const released = super.disposeData(dataId, force);
    if (entry && !this.entries.has(dataId)) entry.release();
    return released;
  }

  override memory() {
    const heap = this.heap
      ? { numBytesInHeap: this.heap.exports.heap_used(), heapByteLength: this.heap.byteLength }
      : {};
    return { ...super.memory(), ...heap };
  }

  override dispose(): void {
    this.disposed = true;
    super.dispose();
  }

  /** The tensor's data. */
  entry(info: TensorInfo): TensorEntry {
    if (this.disposed) throw new DisposedError(`backend 'dsconv-cpu' was used after dispose()`);
    return this.entries.get(info.dataId);
  }

  /** Address of a float32 tensor in the heap, 0 for a missing one. */
  pointer(info: TensorInfo | null | undefined): Ptr {
    return info ? this.entry(info).pointer() : 0;
  }

  /** A new float32 tensor in the heap, its values not set. */
  heapTensor(shape: number[]): HeapTensor {
    const entry = TensorEntry.inHeap(this.heap!, util.sizeFromShape(shape));
    const dataId = { id: this.createDataId() };
    this.entries.set(dataId, entry);
    return { info: { dataId, shape, dtype: 'float32' }, ptr: entry.ptr };
  }

  private get entries(): DataStorage<TensorEntry> {
    return this.data as unknown as DataStorage<TensorEntry>;
  }

  /** MathBackendCPU numbers its data through a private method. */
  private createDataId(): number {
    return (this as unknown as { nextDataId(): number }).nextDataId();
  }

  /** TensorFlow.js's `slice` returns a subarray of its input; of a heap tensor that must be a copy. */
  private detach(values: BackendValues): BackendValues {
    const inHeap =
      this.heap && ArrayBuffer.isView(values) && values.buffer === this.heap.exports.memory.buffer;
    return inHeap ? (values as Float32Array).slice() : values;
  }
}
