/** The TensorFlow.js backend whose kernels this package adds. */
export const BACKEND_NAME = 'webgpu';

export { DeviceLostError, OutOfMemoryError } from './errors.js';
