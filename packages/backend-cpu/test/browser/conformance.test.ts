import { describeConformance } from '@dsconv/conformance/vitest';
import { TIER_BACKENDS } from '../tiers.js';

// A page cannot load an addon: the native tier is none of a browser's tiers, so there is nothing to skip.
for (const name of TIER_BACKENDS) if (!name.endsWith('/native')) describeConformance(name);
