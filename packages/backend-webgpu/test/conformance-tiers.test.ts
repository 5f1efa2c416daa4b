/** Numbers on every tier, whichever the adapter would get; what a backend does beside computing is the same code for all of them. */
import { TIERS } from '@dsconv/backend-webgpu';
import { boundedCases, exactCases } from '@dsconv/conformance';
import { describeConformance } from '@dsconv/conformance/vitest';
import { errorGuard, missing, setWebGPU } from './support/webgpu.js';

for (const tier of TIERS) {
  describeConformance('webgpu', {
    tier,
    cases: [...exactCases, ...boundedCases],
    prepare: async () => {
      if (missing === null) await setWebGPU();
    },
    guard: errorGuard,
  });
}
