import { describeConformance } from '@dsconv/conformance/vitest';
import { BACKEND_NAME } from '../src/index.js';

// Blocks of memory of the exact size, whose ends the emulation watches.
process.env.DSCONV_CUDA_CACHE = 'off';

describeConformance(BACKEND_NAME);
