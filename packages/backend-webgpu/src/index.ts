/** Importing this package adds DSConv to the TensorFlow.js backend `webgpu`. */
import { registerWebGPUBackend } from './register.js';

registerWebGPUBackend();

export { DeviceLostError, OutOfMemoryError } from './errors.js';
export { type GpuTier, TIERS } from './gpu/variants.js';
export { BACKEND_NAME, useWebGPU } from './register.js';
