import { type DSConvBackend, getDSConvBackend } from '@dsconv/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  behaviourCases,
  boundedCases,
  convolution,
  exactCases,
  isRequired,
  missingRequired,
  type NumericCase,
  runCase,
  runCases,
} from '../src/index.js';
import { registerDirectBackend } from './mutants/backend.js';

const backendName = registerDirectBackend(null);
const core = exactCases[0]!;
const extended: NumericCase = { ...core, level: 'extended' };
const declining: DSConvBackend = {
  ...getDSConvBackend(backendName)!,
  supports: () => ({ reason: 'not today' }),
};

describe('runCase', () => {
  it('passes what is right', async () => {
    expect(await runCase(core, { backendName })).toMatchObject({
      status: 'passed',
      name: 'plain 3x3',
      tier: 'exact',
    });
  });

  it('fails a core case that is declined, and reports a declined extended case', async () => {
    expect(await runCase(core, { backendName, contract: declining })).toMatchObject({
      status: 'failed',
      message: 'the backend declines a core case: not today',
    });
    expect(await runCase(extended, { backendName, contract: declining })).toMatchObject({
      status: 'declined',
      reason: 'not today',
    });
  });

  it('fails a backend that core does not know, or that TensorFlow.js cannot create', async () => {
    expect(await runCase(core, { backendName: 'nowhere' })).toMatchObject({
      status: 'failed',
      message: "backend 'nowhere' is not known to core; expected a call of registerDSConvBackend",
    });
    const contract = getDSConvBackend(backendName)!;
    expect(await runCase(core, { backendName: 'nowhere', contract })).toMatchObject({ status: 'failed' });
  });

  it('reports the first wrong output and how many there are', async () => {
    const wrong = registerDirectBackend('onePixelOff');
    const result = await runCase(core, { backendName: wrong });
    expect(result).toMatchObject({
      status: 'failed',
      mismatch: { index: [0, 0, 0, 5], bound: 0, failed: 1, total: 270 },
    });
    const bounded = await runCase(boundedCases[0]!, { backendName: wrong });
    expect(bounded).toMatchObject({ status: 'failed', mismatch: { index: [0, 0, 0, 5], failed: 1 } });
    expect(result.status === 'failed' && result.message).toMatch(
      /^case 'plain 3x3': output \[0, 0, 0, 5\] is \S+; expected \S+ within 0 \(1 of 270 outputs are wrong\)$/,
    );
  });

  it('asks the guard before and after', async () => {
    const calls: string[] = [];
    const guard = {
      arm: () => void calls.push('arm'),
      check: () => {
        calls.push('check');
        return 'guard word 3 behind the output was overwritten';
      },
    };
    expect(await runCase(core, { backendName, guard })).toMatchObject({
      status: 'failed',
      message: 'guard word 3 behind the output was overwritten',
    });
    expect(calls).toEqual(['arm', 'check']);
  });

  it('does not let a case be called exact that is not', async () => {
    const testCase: NumericCase = {
      ...convolution('random', { data: 'random' }),
      tier: 'exact',
      level: 'core',
    };
    const result = await runCase(testCase, { backendName });
    expect(result).toMatchObject({ status: 'failed' });
    expect(result.status === 'failed' && result.message).toContain(
      "'random' cannot be held to the exact tier",
    );
  });

  it('runs lists and tells about each result', async () => {
    const seen: string[] = [];
    const cases = [core, behaviourCases[0]!];
    const results = await runCases(cases, { backendName }, ({ name }) => seen.push(name));
    expect(results.map(({ status }) => status)).toEqual(['passed', 'passed']);
    expect(seen).toEqual(cases.map(({ name }) => name));
  });
});

describe('DSCONV_REQUIRE', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('turns a missing backend into a failure', () => {
    vi.stubEnv('DSCONV_REQUIRE', 'dsconv-cuda, dsconv-cpu/native');
    expect(isRequired('dsconv-cuda')).toBe(true);
    expect(isRequired('dsconv-cpu/native')).toBe(true);
    expect(isRequired('dsconv-cpu')).toBe(false);
    expect(missingRequired('dsconv-cpu', 'no reason')).toBeNull();
    expect(missingRequired('dsconv-cuda', 'there is no GPU')).toBe(
      "backend 'dsconv-cuda' is required by DSCONV_REQUIRE but not available: there is no GPU",
    );
  });

  it('takes a star for all tiers of a backend', () => {
    vi.stubEnv('DSCONV_REQUIRE', 'webgpu/*');
    expect(isRequired('webgpu/tile')).toBe(true);
    expect(isRequired('webgpu')).toBe(false);
    expect(isRequired('dsconv-cpu/native')).toBe(false);
  });

  it('requires nothing when it is not set', () => {
    vi.stubEnv('DSCONV_REQUIRE', undefined);
    expect(isRequired('dsconv-cpu')).toBe(false);
  });
});
