/** Proof that the suite bites: a backend that computes everything right passes, and every known fault is found. */
import '@tensorflow/tfjs-backend-cpu';
import { afterAll, describe, expect, it } from 'vitest';
import { allCases, runCase } from '../src/index.js';
import { registerDirectBackend } from './mutants/backend.js';
import { MUTATIONS, type Mutation } from './mutants/mutations.js';

/** A backend may decline extended cases, so the core cases have the first word. */
const cases = [...allCases].sort((a, b) => Number(a.level === 'extended') - Number(b.level === 'extended'));

/** By which tier, and by which case, each mutation was found. */
const findings: Record<string, { tier: string; level: string; case: string }> = {};

describe('the direct backend', () => {
  it('passes every case without a mutation', async () => {
    const backendName = registerDirectBackend(null);
    const failures: string[] = [];
    for (const testCase of allCases) {
      const result = await runCase(testCase, { backendName });
      if (result.status === 'failed') failures.push(`${result.tier}: ${result.message}`);
    }
    expect(failures).toEqual([]);
  });

  for (const mutation of Object.keys(MUTATIONS) as Mutation[]) {
    it(`is found out when ${MUTATIONS[mutation]}`, async () => {
      const backendName = registerDirectBackend(mutation);
      for (const testCase of cases) {
        const result = await runCase(testCase, { backendName });
        if (result.status !== 'failed') continue;
        findings[mutation] = { tier: result.tier, level: testCase.level, case: testCase.name };
        return;
      }
      expect.fail(`no case fails although ${MUTATIONS[mutation]}`);
    });
  }

  afterAll(() => console.table(findings));
});
