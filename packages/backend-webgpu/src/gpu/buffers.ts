/** Buffers that this package makes itself: weights, uniform blocks, stand-ins for absent operands. */
import { OutOfMemoryError } from '../errors.js';
import { mostBytes } from './limits.js';

/** A piece of a buffer, as bind groups take it. */
export interface Slice {
  buffer: GPUBuffer;
  offset?: number;
  size?: number;
}

/** Uniform blocks kept; a network has one per layer and shape. */
const MOST_BLOCKS = 2048;

export class Buffers {
  /** Bytes of everything made here that was not freed. */
  bytes = 0;
  private readonly blocks = new Map<string, GPUBuffer>();
  private readonly dummies: GPUBuffer[] = [];

  constructor(private readonly device: GPUDevice) {}

  /** A buffer with values. @throws OutOfMemoryError when the device's limits do not allow its size */
  storage(values: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>, what: string): GPUBuffer {
    const size = Math.max(16, Math.ceil(values.byteLength / 16) * 16);
    const most = mostBytes(this.device.limits);
    if (size > most) {
      throw new OutOfMemoryError(`${what} takes ${size} bytes; expected at most ${most} on this device`);
    }
    const buffer = this.device.createBuffer({
      label: what,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    this.device.queue.writeBuffer(buffer, 0, values);
    this.bytes += size;
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    buffer.destroy();
  }

  /** A uniform block with these words. Blocks are immutable, and equal ones are the same buffer. */
  block(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const key = words.join();
    let buffer = this.blocks.get(key);
    if (!buffer) {
      // Commands that were recorded may still read them, so they are forgotten, not destroyed.
      if (this.blocks.size >= MOST_BLOCKS) this.blocks.clear();
      buffer = this.device.createBuffer({
        label: 'dsconv uniform block',
        size: Math.ceil(words.byteLength / 16) * 16,
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      this.device.queue.writeBuffer(buffer, 0, words);
      this.blocks.set(key, buffer);
    }
    return buffer;
  }

  /** Stands in for an absent operand. Each one that is written needs its own, hence the number. */
  dummy(n: number): Slice {
    this.dummies[n] ??= this.device.createBuffer({
      label: 'dsconv absent operand',
      size: 16,
      usage: GPUBufferUsage.STORAGE,
    });
    return { buffer: this.dummies[n] };
  }
}
