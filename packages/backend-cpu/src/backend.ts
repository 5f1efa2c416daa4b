import { DisposedError } from '@dsconv/core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { BackendValues, DataId, DataStorage, DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { util } from '@tensorflow/tfjs-core';
import type { Engine, Operand } from './engine.js';
import { TensorEntry } from './tensor-entry.js';
import type { CpuTier } from './tiers.js';
import type { WasmHeap } from './wasm/heap.js';
import { removeHelpers } from './wasm/thread-count.js';

/** A float32 result that a kernel fills in. */
export interface OutputTensor {
  info: TensorInfo;
  operand: Operand;
}

/**
 * TensorFlow.js backend `dsconv-cpu`. Tensors are typed arrays; in the WebAssembly tiers float32 tensors that a kernel here has touched live in
 * the module's heap, so that a network's activations are never copied. Every other kernel is TensorFlow.js's own CPU kernel and sees typed arrays as ever.
 */
export class DSConvCpuBackend extends MathBackendCPU {
  readonly tier: CpuTier;
  /** Null in the `js` tier. */
  readonly engine: Engine | null;
  /** Where tensors live in the WebAssembly tiers, else null. */
  private readonly heap: WasmHeap | null;
  private disposed = false;

  constructor(tier: CpuTier, engine: Engine | null) {
    super();
    this.tier = tier;
    this.engine = engine;
    this.heap = engine?.heap ?? null;
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
    return { ...super.memory(), ...this.engine?.memory() };
  }

  override dispose(): void {
    this.disposed = true;
    if (this.heap?.helpers) removeHelpers(this.heap.helpers);
    super.dispose();
  }

  /** The tensor's data. */
  entry(info: TensorInfo): TensorEntry {
    if (this.disposed) throw new DisposedError(`backend 'dsconv-cpu' was used after dispose()`);
    return this.entries.get(info.dataId);
  }

  /** A float32 tensor as the engine takes it, null for a missing one. */
  operand(info: TensorInfo): Operand;
  operand(info: TensorInfo | null | undefined): Operand | null;
  operand(info: TensorInfo | null | undefined): Operand | null {
    return info ? this.engine!.operand(this.entry(info)) : null;
  }

  /** A new float32 tensor for the engine to fill, its values not set. */
  output(shape: readonly number[]): OutputTensor {
    const entry = this.engine!.allocate(util.sizeFromShape([...shape]));
    const dataId = { id: this.createDataId() };
    this.entries.set(dataId, entry);
    return { info: { dataId, shape: [...shape], dtype: 'float32' }, operand: this.engine!.operand(entry) };
  }

  /** Runs a kernel that fills a new tensor, which is freed if the kernel fails. */
  fill(shape: readonly number[], kernel: (engine: Engine, y: Operand) => void): TensorInfo {
    const { info, operand } = this.output(shape);
    try {
      kernel(this.engine!, operand);
    } catch (error) {
      this.disposeData(info.dataId);
      throw error;
    }
    return info;
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
    const inHeap = this.heap && ArrayBuffer.isView(values) && this.heap.owns(values);
    return inHeap ? (values as Float32Array).slice() : values;
  }
}
