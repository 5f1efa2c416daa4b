/** The vitest entry, used as a backend's own tests use it. */
import { afterEach, describe, expect, it, type TestContext, vi } from 'vitest';
import { describeConformance, requireOrSkip } from '../src/vitest.js';
import { registerDirectBackend } from './mutants/backend.js';

describeConformance('direct', { prepare: () => registerDirectBackend(null) });

describe('requireOrSkip', () => {
  afterEach(() => vi.unstubAllEnvs());
  const skip = vi.fn();
  const context = { skip } as unknown as TestContext;

  it('skips with the reason', () => {
    requireOrSkip(context, 'imaginary', 'there is no GPU');
    expect(skip).toHaveBeenCalledWith('there is no GPU');
  });

  it('fails where the backend is required', () => {
    vi.stubEnv('DSCONV_REQUIRE', 'imaginary');
    expect(() => requireOrSkip(context, 'imaginary', 'there is no GPU')).toThrow(
      "backend 'imaginary' is required by DSCONV_REQUIRE but not available: there is no GPU",
    );
  });
});
