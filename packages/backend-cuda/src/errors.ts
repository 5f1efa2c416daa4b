import { DSConvError } from '@dsconv/core';

/** The device does not have the memory that was asked for, or the backend may not take it. */
export class OutOfMemoryError extends DSConvError {
  constructor(
    message: string,
    /** Bytes: what was asked for, and what there was when it was. */
    readonly sizes: MemoryFigures & { requested: number },
  ) {
    super('OUT_OF_MEMORY', message);
  }
}

/** Bytes of one device. */
export interface MemoryFigures {
  /** Tensors, filters, plans and scratch that live now. */
  inUse: number;
  /** Blocks that are kept for the next tensors of their size. */
  cached: number;
  /** What `inUse` and `cached` may be together. */
  limit: number;
  /** What the driver says is free on the device. */
  free: number;
}

/** The device is gone, or a kernel left its context unusable; a new backend has to be made, by `useCuda()`. */
export class DeviceLostError extends DSConvError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('DEVICE_LOST', message, options);
  }
}

/** The driver refused a call; the message has its name of the error. */
export class CudaError extends DSConvError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('CUDA_ERROR', message, options);
  }
}

/** The code that the addon gave an error, or null. */
export function codeOf(error: unknown): string | null {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : null;
}
