/** Numbers of the plain kernels, which the best tier uses for few cases only; what a backend does beside computing is the same code for both. */
import { boundedCases, exactCases } from '@dsconv/conformance';
import { describeConformance } from '@dsconv/conformance/vitest';
import { BACKEND_NAME } from '../src/index.js';

// Blocks of memory of the exact size, whose ends the emulation watches.
process.env.DSCONV_CUDA_CACHE = 'off';

describeConformance(BACKEND_NAME, { tier: 'naive', cases: [...exactCases, ...boundedCases] });
