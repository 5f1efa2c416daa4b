import type { BackendValues, DataType, TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmHeap } from './wasm/heap.js';
import type { Ptr } from './wasm/interface.js';

/** Packed form of a tensor's values as a convolution filter, for one number of taps. */
export interface PackedTensor {
  packing: unknown;
  taps: number;
  free(): void;
}

/** Takes arrays whose tensors are gone. */
export interface ArrayRecycler {
  give(array: Float32Array): void;
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
  /** Where the array goes when the tensor is gone, as long as nobody else has seen it. */
  private recycler: ArrayRecycler | null = null;

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

  /** A float32 tensor in an array that nobody else has. */
  static inArray(array: Float32Array, recycler: ArrayRecycler): TensorEntry {
    const entry = new TensorEntry(null, array, 'float32', 1);
    entry.recycler = recycler;
    return entry;
  }

  /**
   * The values for anyone. An array that was read here is never used again for another tensor: `dataSync` hands it to the program, and kernels of TensorFlow.js such
   * as `slice` make other tensors of it.
   */
  get values(): BackendValues {
    this.recycler = null;
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

  /** The values as a Float32Array; other arrays become one, once. For kernels that keep no hold on it: the array may be another tensor's after this one's end. */
  floats(): Float32Array {
    if (this.ptr !== 0) return this.heap!.float32(this.ptr, this.length);
    if (!(this.array instanceof Float32Array))
      this.array = Float32Array.from(this.array as ArrayLike<number>);
    return this.array as Float32Array;
  }

  release(): void {
    this.packedFilter?.free();
    if (this.ptr !== 0) this.heap!.free(this.ptr);
    this.recycler?.give(this.array as Float32Array);
    this.recycler = null;
    this.packedFilter = null;
    this.ptr = 0;
    this.array = null;
  }
}
