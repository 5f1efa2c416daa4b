/**
 * Arrays of tensors that are gone, for tensors to come. Fresh memory of this size costs page faults, and its end a garbage collection, while a step of
 * training makes tensors of the same few lengths as the one before.
 */

/** Shorter arrays are cheap to make. In floats. */
const LEAST = 1024;

/** Milliseconds without a tensor made or freed after which all is given back. */
const IDLE = 1000;

export class ArrayPool {
  /** By length; the one whose arrays were asked for last comes last. */
  private readonly free = new Map<number, Float32Array[]>();
  private bytes = 0;
  private isUsed = false;
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** @param limit most bytes that are kept free */
  constructor(private readonly limit: number) {}

  /** Bytes that are kept. */
  get freeBytes(): number {
    return this.bytes;
  }

  /** An array whose values are not set. */
  take(length: number): Float32Array {
    this.isUsed = true;
    const arrays = length >= LEAST ? this.free.get(length) : undefined;
    const array = arrays?.pop();
    if (!array) return new Float32Array(length);
    this.bytes -= array.byteLength;
    this.free.delete(length);
    if (arrays!.length > 0) this.free.set(length, arrays!);
    return array;
  }

  /** Takes an array that nobody else can reach. */
  give(array: Float32Array): void {
    const { length, byteLength } = array;
    if (length < LEAST || byteLength > this.limit) return;
    this.isUsed = true;
    const arrays = this.free.get(length);
    if (arrays) arrays.push(array);
    else this.free.set(length, [array]);
    this.bytes += byteLength;
    while (this.bytes > this.limit) this.dropOldest();
    this.timer ??= this.wait();
  }

  clear(): void {
    this.free.clear();
    this.bytes = 0;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
  }

  /** One array of the length that was not asked for for longest. */
  private dropOldest(): void {
    const [length, arrays] = this.free.entries().next().value!;
    this.bytes -= arrays.pop()!.byteLength;
    if (arrays.length === 0) this.free.delete(length);
  }

  private wait(): ReturnType<typeof setTimeout> {
    this.isUsed = false;
    const timer = setTimeout(() => {
      this.timer = null;
      if (this.isUsed) this.timer = this.wait();
      else this.clear();
    }, IDLE);
    // A program that is done need not wait.
    timer.unref();
    return timer;
  }
}
