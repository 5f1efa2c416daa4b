/** Makes core cases of the exact tier. */
import { convolution, depthwise, type NumericCase, type OperatorCase } from '../case.js';

/** A convolution in the exact tier. */
export const conv = (name: string, overrides: Partial<OperatorCase> = {}): NumericCase => ({
  tier: 'exact',
  level: 'core',
  ...convolution(name, overrides),
});

/** A depthwise convolution in the exact tier. */
export const deep = (
  name: string,
  multiplier: number,
  overrides: Partial<OperatorCase> = {},
): NumericCase => ({
  tier: 'exact',
  level: 'core',
  ...depthwise(name, multiplier, overrides),
});

/** The same case, which a backend may decline. */
export const extended = (testCase: NumericCase): NumericCase => ({ ...testCase, level: 'extended' });
