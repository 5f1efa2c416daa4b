/** Memory of one WebAssembly module: allocation with typed errors, and views that are never kept. */
import { DSConvError } from '@dsconv/core';
import { OutOfMemoryError } from '../errors.js';
import type { Helpers } from './helpers.js';
import { CALL_WORDS, type DSConvWasm, type Ptr, type Status } from './interface.js';

/** Addresses of WebAssembly have 32 bits. */
const ADDRESS_SPACE = 2 ** 32;

export class WasmHeap {
  readonly exports: DSConvWasm;
  /** The one call record; kernels only read it, and calls do not nest. */
  private readonly record: Ptr;
  /** The memory's buffer as it was last seen. */
  private latest: ArrayBufferLike | null = null;
  /** All that it was. A shared one is not detached when the memory grows: it goes on showing the same memory. */
  private readonly seen = new WeakSet<ArrayBufferLike>();

  /** @param helpers the threads that the module's kernels compute on beside the caller's, or null */
  constructor(
    exports: DSConvWasm,
    readonly helpers: Helpers | null = null,
  ) {
    this.exports = exports;
    this.record = this.alloc(4 * CALL_WORDS);
  }

  /** The memory's buffer, until it grows. */
  private get buffer(): ArrayBuffer {
    const { buffer } = this.exports.memory;
    if (buffer !== this.latest) {
      this.latest = buffer;
      this.seen.add(buffer);
    }
    return buffer;
  }

  /** Bytes the module's memory occupies; it never shrinks. */
  get byteLength(): number {
    return this.buffer.byteLength;
  }

  /** Whether an array is a view of this memory. */
  owns(array: ArrayBufferView): boolean {
    return this.seen.has(array.buffer) || array.buffer === this.exports.memory.buffer;
  }

  /**
   * Allocates `bytes` (at least one, so that empty tensors have an address too).
   *
   * @throws OutOfMemoryError when the memory cannot grow
   */
  alloc(bytes: number): Ptr {
    // A size beyond the address space would wrap around in the call.
    const ptr = bytes < ADDRESS_SPACE ? this.exports.alloc(Math.max(1, bytes)) >>> 0 : 0;
    if (ptr === 0) {
      throw new OutOfMemoryError(
        `${bytes} bytes are wanted, but the WebAssembly memory of ${this.byteLength} bytes cannot grow by them`,
      );
    }
    return ptr;
  }

  free(ptr: Ptr): void {
    this.exports.free(ptr);
  }

  /** A view that is valid until the next allocation or kernel. */
  float32(ptr: Ptr, length: number): Float32Array {
    return new Float32Array(this.buffer, ptr, length);
  }

  /** Allocates and fills; `free` is the caller's. */
  copyIn(values: ArrayLike<number> & ArrayBufferView): Ptr {
    const ptr = this.alloc(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    new Uint8Array(this.buffer, ptr, values.byteLength).set(bytes);
    return ptr;
  }

  /** Runs `body` with temporary copies of arrays in the heap; a missing array is the null pointer. */
  withCopies<T>(arrays: ((ArrayLike<number> & ArrayBufferView) | null)[], body: (...ptrs: Ptr[]) => T): T {
    const ptrs: Ptr[] = [];
    try {
      for (const array of arrays) ptrs.push(array ? this.copyIn(array) : 0);
      return body(...ptrs);
    } finally {
      for (const ptr of ptrs) if (ptr !== 0) this.free(ptr);
    }
  }

  /** Fills the call record: words by index as in `CALL`; `alpha` goes into word `alphaWord` as a float32. */
  call(words: Readonly<Record<number, number>>, alphaWord: number, alpha: number): Ptr {
    const record = new Int32Array(this.buffer, this.record, CALL_WORDS);
    record.fill(0);
    for (const index in words) record[index] = words[index]!;
    new Float32Array(record.buffer, record.byteOffset, CALL_WORDS)[alphaWord] = alpha;
    return this.record;
  }

  /** Turns a kernel's status into an error. */
  check(status: Status, kernel: string): void {
    if (status === 1) {
      throw new OutOfMemoryError(
        `${kernel} needs more scratch memory than the WebAssembly memory of ${this.byteLength} bytes can grow by`,
      );
    }
    if (status !== 0)
      throw new DSConvError('KERNEL_REFUSED', `${kernel} refused its arguments (status ${status})`);
  }
}
