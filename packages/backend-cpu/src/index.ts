/** Importing this package registers the TensorFlow.js backend `dsconv-cpu`. */
import { BACKEND_NAME, registerCpuBackend } from './register.js';

registerCpuBackend(BACKEND_NAME);

export { DSConvCpuBackend } from './backend.js';
export { OutOfMemoryError, ThreadError } from './errors.js';
export { measurePeaks, type Peaks } from './peaks.js';
export { type ProfiledPlan, profilePlan, type StepTime } from './profile.js';
export { BACKEND_NAME } from './register.js';
export { getThreads, setThreads, type ThreadStatus, threadStatus } from './threads.js';
export { type CpuTier, setWasmSource, TIERS, type WasmSource, type WasmTier } from './tiers.js';
