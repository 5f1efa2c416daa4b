/** What `doctor` says of the backend `webgpu`, whose packages are not dependencies of the command. */
import { requireOrSkip } from '@dsconv/conformance/vitest';
import { expect, it, vi } from 'vitest';
import { chooseSwiftShader } from '../../../scripts/dawn.mjs';
import { dsconv } from './support.js';

interface TierOutput {
  name: string;
  tier: string | null;
  available: boolean;
  reason: string | null;
  selfTest: boolean | null;
  gmacs: number | null;
}

const examine = async (...options: string[]) => {
  const run = await dsconv('doctor', '--json', ...options);
  expect(run).toMatchObject({ code: 0, err: '' });
  return run.json<{ backends: TierOutput[] }>().backends;
};

it.each(['webgpu', '@dsconv/backend-webgpu'])('says in a sentence that %s is not installed', async (name) => {
  vi.doMock(name, () => {
    throw new Error('Cannot find package');
  });
  const backends = await examine('--backend', 'webgpu');
  vi.doUnmock(name);
  expect(backends).toEqual([
    { name: 'webgpu', tier: null, available: false, selfTest: null, gmacs: null, reason: expect.any(String) },
  ]);
  expect(backends[0]!.reason).toMatch(
    new RegExp(
      `^it needs the package ${name} beside this command, which can be installed by 'npm install webgpu .*'`,
    ),
  );
});

it('takes Dawn where it is installed, and measures every tier', { timeout: 400_000 }, async (context) => {
  const reason = chooseSwiftShader();
  if (reason) requireOrSkip(context, 'webgpu', reason);
  const backends = await examine('--backend', 'webgpu');
  expect(backends.map(({ tier }) => tier)).toEqual(['tile-dot', 'tile', 'wide', 'naive']);
  for (const { name, available, selfTest, gmacs, reason: why } of backends) {
    expect({ name, available, selfTest, why }).toEqual({
      name: 'webgpu',
      available: true,
      selfTest: true,
      why: null,
    });
    expect(gmacs).toBeGreaterThan(0);
  }
});
