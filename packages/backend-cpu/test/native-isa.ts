/** The conformance suite on the native tier with one instruction set, forced by `DSCONV_CPU_ISA` before the addon is loaded. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { describeConformance, requireOrSkip } from '@dsconv/conformance/vitest';
import { getDSConvBackend } from '@dsconv/core';
import { describe, expect, test } from 'vitest';
import type { Isa } from '../native/interface.js';
import { loadNative } from '../src/native/load.js';
import { guardAllocations } from './native-guard.js';

/** Once per test file, since a process loads the addon once. */
export async function describeIsa(isa: Isa): Promise<void> {
  process.env.DSCONV_CPU_ISA = isa;
  const found = await loadNative().catch((error: Error) => error);
  if (found instanceof Error) {
    test(`instruction set ${isa}`, (context) =>
      requireOrSkip(context, `${BACKEND_NAME}/native/${isa}`, found.message));
    return;
  }
  describe(`instruction set ${isa}`, () => {
    test('is the one in use', () => expect(found.isa).toBe(isa));
    const guard = guardAllocations();
    describeConformance(getDSConvBackend(BACKEND_NAME)!.pinTier!('native'), { guard });
    test('had guard words around its outputs', () => expect(guard.guarded).toBeGreaterThan(100));
  });
}
