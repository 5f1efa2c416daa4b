import type { ConformanceCase } from '../case.js';
import { behaviourCases } from './behaviour.js';
import { boundedCases } from './bounded.js';
import { exactCases } from './exact.js';

/** All tiers, the cheapest to understand first. */
export const allCases: readonly ConformanceCase[] = [...exactCases, ...boundedCases, ...behaviourCases];
