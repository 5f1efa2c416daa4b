import { DSConvError } from '@dsconv/core';
import { backend } from '@tensorflow/tfjs-core';

/** Milliseconds in which a device says that it is lost, after the first operation on it has failed. */
const PATIENCE = 1000;

/** What is known of TensorFlow.js' backend: that of WebGPU has a device. */
interface WithDevice {
  device?: { lost: Promise<{ reason: string; message: string }> };
}

/** The error itself, or the loss of the GPU that it followed from. Operations under way fail with words of their own before the loss is known. */
export async function explain(error: unknown): Promise<unknown> {
  const { device } = backend() as unknown as WithDevice;
  if (error instanceof DSConvError || !device) return error;
  const timeout = new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE));
  const loss = await Promise.race([device.lost, timeout]);
  if (!loss) return error;
  const why = loss.message || loss.reason;
  return new DSConvError('DEVICE_LOST', `the GPU was lost (${why}); another one can be taken`);
}
