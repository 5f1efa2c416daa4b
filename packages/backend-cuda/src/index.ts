/** Importing this package registers the TensorFlow.js backend `dsconv-cuda`. */
import { BACKEND_NAME, registerCudaBackend } from './register.js';

registerCudaBackend(BACKEND_NAME);

export { CudaBackend } from './backend.js';
export { type CudaTier, TIERS } from './device/launch.js';
export { CudaError, DeviceLostError, type MemoryFigures, OutOfMemoryError } from './errors.js';
export { type DeviceDescription, describeDevice, measurePeaks, type Peaks } from './measuring.js';
export { type ProfiledPlan, profilePlan, type StepTime } from './plan/profile.js';
export { BACKEND_NAME, type CudaOptions, useCuda } from './register.js';
