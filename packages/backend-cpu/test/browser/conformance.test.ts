import { describeConformance } from '@dsconv/conformance/vitest';
import { TIER_BACKENDS } from '../tiers.js';

for (const name of TIER_BACKENDS) describeConformance(name);
