import '@dsconv/backend-webgpu';
import { describeConformance } from '@dsconv/conformance/vitest';
import { errorGuard, missing, setWebGPU } from './support/webgpu.js';

describeConformance('webgpu', {
  prepare: async () => {
    if (missing === null) await setWebGPU();
  },
  guard: errorGuard,
});
