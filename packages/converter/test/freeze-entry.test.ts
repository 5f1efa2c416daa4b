/** The entry that `@dsconv/layers` freezes with, which also runs in browsers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import { beforeAll, expect, it } from 'vitest';
import { convertModel, LayerError } from '../src/index.js';
import { conversionPaths } from './support/conversion-paths.js';
import { everyLayer } from './support/every-layer.js';
import { saveLayers } from './support/layers-files.js';

const paths = conversionPaths();

beforeAll(() => selectBackend([BACKEND_NAME]));

it('needs nothing of Node', () => {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, target] of text.matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from '([^']+)';/gm)) {
      if (target!.startsWith('.')) visit(join(dirname(file), target!.replace(/\.js$/, '.ts')));
      else packages.add(target!);
    }
  };
  visit(fileURLToPath(new URL('../src/layers/freeze.ts', import.meta.url)));
  expect([...seen].some((file) => file.endsWith('fold-layers.ts'))).toBe(true);
  expect([...packages].sort()).toEqual([
    '@dsconv/core',
    '@dsconv/models',
    '@tensorflow/tfjs-core',
    '@tensorflow/tfjs-layers',
  ]);
});

it('names a layer that learns where its package was not imported', async () => {
  const path = await saveLayers(everyLayer(), paths.source);
  const json = JSON.parse(readFileSync(path, 'utf8'));
  const stem = json.modelTopology.config.layers.find(({ name }: { name: string }) => name === 'stem');
  stem.class_name = 'DSConv2D';
  writeFileSync(path, JSON.stringify(json));
  const failed = convertModel(paths.source, { bits: 8 });
  await expect(failed).rejects.toThrow(LayerError);
  await expect(failed).rejects.toThrow(
    /layer 'stem' \(DSConv2D\) is one that learns, of a package that is not there; expected '@dsconv\/layers' to be imported before/,
  );
});
