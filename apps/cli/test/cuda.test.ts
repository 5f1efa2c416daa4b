/** What the command says of `dsconv-cuda`, whose package is not one of its dependencies. The backend itself is tested in its package. */
import { afterEach, expect, it, vi } from 'vitest';
import { dsconv } from './support.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

interface TierOutput {
  tier: string | null;
  available: boolean;
  reason: string | null;
}

async function examined(): Promise<TierOutput[]> {
  const run = await dsconv('doctor', '--json', '--backend', 'dsconv-cuda');
  expect(run).toMatchObject({ code: 0, err: '' });
  return run.json<{ backends: TierOutput[] }>().backends;
}

it('says that the package is not installed', async () => {
  vi.doMock('@dsconv/backend-cuda', () => {
    throw new Error('Cannot find package');
  });
  const backends = await examined();
  const chosen = await dsconv(
    'classify',
    'x.png',
    '--model',
    'resnet20.fashion_mnist',
    '--backend',
    'dsconv-cuda',
  );
  vi.doUnmock('@dsconv/backend-cuda');
  expect(backends).toMatchObject([{ tier: null, available: false }]);
  expect(backends[0]!.reason).toMatch(/^it needs the package @dsconv\/backend-cuda beside this command/);
  expect(chosen.code).toBe(1);
  expect(chosen.err).toMatch(/backend 'dsconv-cuda' is not available: it needs the package/);
});

it('says why there is no GPU, tier by tier, and what else could be chosen', async () => {
  vi.stubEnv('DSCONV_CUDA_DRIVER', '/nonexistent');
  for (const { available, reason } of await examined()) {
    expect(available).toBe(false);
    expect(reason).toMatch(/\/nonexistent/);
  }
  const chosen = await dsconv(
    'classify',
    'x.png',
    '--model',
    'resnet20.fashion_mnist',
    '--backend',
    'dsconv-cuda',
  );
  expect(chosen.code).toBe(1);
  expect(chosen.err).toMatch(/\/nonexistent/);
  const unknown = await dsconv('doctor', '--backend', 'cuda');
  expect(unknown.err).toMatch(/backend 'cuda' is not known; expected one of dsconv-cpu, .*dsconv-cuda/);
});
