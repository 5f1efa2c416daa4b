import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { requireOrSkip } from '@dsconv/conformance/vitest';
import { expect, test } from 'vitest';

const example = new URL('../examples/webgpu-in-node.mjs', import.meta.url);
const swiftShader = new URL('../../scripts/swiftshader.mjs', import.meta.url);
const NO_DRIVER = 77;

test('the page shows the beginning of the example', () => {
  const page = readFileSync(new URL('../webgpu.md', import.meta.url), 'utf8');
  const [, shown] = /```js\n([\s\S]*?)```/.exec(page)!;
  expect(readFileSync(example, 'utf8')).toContain(shown);
});

test('the example classifies a picture, with the built packages', { timeout: 300_000 }, (context) => {
  const args = ['--import', swiftShader.href, fileURLToPath(example)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === NO_DRIVER) return requireOrSkip(context, 'webgpu', stderr.trim());
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^webgpu, [a-z-]+: class \d of 10\n$/);
});
