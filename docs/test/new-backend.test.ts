import { readFileSync } from 'node:fs';
import { describeConformance } from '@dsconv/conformance/vitest';
import { expect, test } from 'vitest';
import { registerTinyBackend, TINY_BACKEND } from '../examples/tiny-backend.js';

registerTinyBackend();
describeConformance(TINY_BACKEND);

test('the guide shows the example as it is tested', () => {
  const guide = readFileSync(new URL('../new-backend.md', import.meta.url), 'utf8');
  const source = readFileSync(new URL('../examples/tiny-backend.ts', import.meta.url), 'utf8');
  expect(guide).toContain(source);
});
