/** The suite as vitest tests: one test per case. */
import { type DSConvBackend, getDSConvBackend } from '@dsconv/core';
import { beforeAll, describe, it, type TestContext } from 'vitest';
import type { ConformanceCase } from './case.js';
import { allCases } from './cases/index.js';
import { missingRequired } from './require.js';
import { type Guard, runCase, type Subject } from './run-case.js';

/** Milliseconds that a backend may take to be created: a GPU's shaders are compiled then, by the CPU where the adapter is software. */
const CREATION_TIMEOUT = 120_000;

export interface DescribeOptions {
  /** Runs first, for instance to import the package that registers the backend. */
  prepare?: () => unknown;
  /** Pin the backend to one of its tiers; needs `pinTier` of the contract. */
  tier?: string;
  /** Default all. */
  cases?: readonly ConformanceCase[];
  guard?: Guard;
}

/**
 * Holds a backend to the suite. Where the backend or tier cannot run on this machine, every test is skipped with the reason, or fails when
 * `DSCONV_REQUIRE` lists it (`name`, or `name/tier`). A declined extended case is a skipped test with the backend's reason.
 *
 * @param backendName as registered with `registerDSConvBackend`
 */
export function describeConformance(backendName: string, options: DescribeOptions = {}): void {
  const { prepare, tier, cases = allCases, guard } = options;
  const label = tier === undefined ? backendName : `${backendName}/${tier}`;
  describe(`conformance of ${label}`, () => {
    let found: Subject | { reason: string };
    beforeAll(async () => {
      await prepare?.();
      found = await findSubject(backendName, tier);
    }, CREATION_TIMEOUT);
    for (const tierName of ['exact', 'bounded', 'behaviour'] as const) {
      const ofTier = cases.filter((testCase) => testCase.tier === tierName);
      if (ofTier.length === 0) continue;
      describe(tierName, () => {
        for (const testCase of ofTier) {
          it(testCase.name, async (context) => {
            if ('reason' in found) return requireOrSkip(context, label, found.reason);
            const result = await runCase(testCase, guard ? { ...found, guard } : found);
            if (result.status === 'declined') context.skip(`declined: ${result.reason}`);
            if (result.status === 'failed') throw new Error(result.message);
          });
        }
      });
    }
  });
}

/** Skips the running test with the reason, or fails it when `DSCONV_REQUIRE` lists the name. */
export function requireOrSkip(context: TestContext, name: string, reason: string): void {
  const failure = missingRequired(name, reason);
  if (failure) throw new Error(failure);
  context.skip(reason);
}

async function findSubject(name: string, tier: string | undefined): Promise<Subject | { reason: string }> {
  const contract = getDSConvBackend(name);
  if (!contract) return { reason: `no package that registers '${name}' was imported` };
  const support = await contract.probe();
  if (support !== true) return { reason: support.reason };
  return tier === undefined ? { backendName: name, contract } : pinned(contract, tier);
}

async function pinned(contract: DSConvBackend, tier: string): Promise<Subject | { reason: string }> {
  const status = (await contract.tiers()).find((candidate) => candidate.tier === tier);
  if (!status) return { reason: `backend '${contract.name}' has no tier '${tier}'` };
  if (!status.available) return { reason: status.reason ?? `tier '${tier}' is not available` };
  if (!contract.pinTier) return { reason: `backend '${contract.name}' cannot be pinned to a tier` };
  return { backendName: contract.pinTier(tier), contract };
}
