import type { BackendValues, DataType, TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmHeap } from './wasm/heap.js';
import type { Ptr } from './wasm/interface.js';

/** Packed form of a tensor's values as a convolution filter, for one number of taps. */
export interface PackedTensor {
  packing: unknown;
  taps: number;
  free(): void;
}

/**
 * Data of one tensor: a JavaScript array, or (float32 only) a piece of the WebAssembly heap. TensorFlow.js's CPU kernels read `values`; for
 * a heap tensor that is a view made afresh at each access, because growing the memory detaches older ones.
 */
export class TensorEntry {
  readonly dtype: DataType;
  refCount: number;
  /** Set by TensorFlow.js's kernel `Complex`. */
  complexTensorInfos?: { real: TensorInfo; imag: TensorInfo };
  /** Set where the values live in the heap. */
  ptr: Ptr = 0;
  /** Owned by the entry. */
  packedFilter: PackedTensor | null = null;
  private array: BackendValues | null;
  private length = 0;

  constructor(
    private readonly heap: WasmHeap | null,
    values: BackendValues | null,
    dtype: DataType,
    refCount: number,
  ) {
    this.array = values;
    this.dtype = dtype;
    this.refCount = refCount;
  }

  /** An uninitialized float32 tensor in the heap. */
  static inHeap(heap: WasmHeap, length: number): TensorEntry {
    const entry = new TensorEntry(heap, null, 'float32', 1);
    entry.length = length;
    entry.ptr = heap.alloc(4 * length);
    return entry;
  }

  get values(): BackendValues {
    return this.ptr === 0 ? (this.array as BackendValues) : this.heap!.float32(this.ptr, this.length);
  }

  /** Address of the float32 values, which move to the heap if they are not there yet. */
  pointer(): Ptr {
    if (this.ptr === 0) {
      const values = this.floats();
      this.length = values.length;
      this.ptr = this.heap!.copyIn(values);
      this.array = null;
    }
    return this.ptr;
  }

  /** The values as a Float32Array; other arrays become one, once. */
  floats(): Float32Array {
    if (this.ptr !== 0) return this.values as Float32Array;
    if (!(this.array instanceof Float32Array))
      this.array = Float32Array.from(this.array as ArrayLike<number>);
    return this.array as Float32Array;
  }

  release(): void {
    this.packedFilter?.free();
    if (this.ptr !== 0) this.heap!.free(this.ptr);
    this.packedFilter = null;
    this.ptr = 0;
    this.array = null;
  }
}
