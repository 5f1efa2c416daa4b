import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { examplePictures } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CLASSES,
  dsconv,
  LABELS,
  pattern,
  plain,
  temporaryFolder,
  writeFloat,
  writeQuantized,
} from './support.js';

interface Output {
  results: {
    file: string;
    milliseconds: number;
    top: { index: number; label: string; probability: number }[];
    error?: { code: string; message: string };
  }[];
}

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
let quantized: string;
let float: string;

beforeAll(async () => {
  quantized = await writeQuantized(path('quantized.safetensors'));
  float = writeFloat(path('float.safetensors'));
  mkdirSync(path('pictures'));
  await plain(250, 10, 10).jpeg().toFile(path('pictures/red.jpg'));
  await pattern().png().toFile(path('pictures/pattern.png'));
  await pattern().webp({ lossless: true }).toFile(path('pictures/same.webp'));
  await plain(200, 30, 30).toColourspace('cmyk').jpeg().toFile(path('pictures/print.jpg'));
  await pattern().withMetadata({ orientation: 8 }).jpeg().toFile(path('pictures/turned.jpg'));
});

describe('classify', () => {
  it('gives the most probable classes of every picture in a folder', async () => {
    const run = await dsconv('classify', path('pictures'), '--model', quantized, '--json');
    expect(run.err).toBe('');
    expect(run.code).toBe(0);
    const { results } = run.json<Output>();
    expect(results.map(({ file }) => file.slice(folder.length))).toEqual([
      '/pictures/pattern.png',
      '/pictures/print.jpg',
      '/pictures/red.jpg',
      '/pictures/same.webp',
      '/pictures/turned.jpg',
    ]);
    for (const { milliseconds, top } of results) {
      expect(milliseconds).toBeGreaterThan(0);
      expect(top).toHaveLength(CLASSES);
      expect(top.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 4);
      for (const { index, label } of top) expect(label).toBe(LABELS[index]);
      const probabilities = top.map(({ probability }) => probability);
      expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a));
    }
    expect(results[0]!.top).toEqual(results[3]!.top);
  });

  it('prints the same for people, and takes globs and float networks', async () => {
    const run = await dsconv('classify', path('pictures/p*.{png,gif}'), '--model', float, '--top', '2');
    expect(run.code).toBe(0);
    const lines = run.out.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/pattern\.png \(\d+\.\d ms\)$/);
    expect(lines[1]).toMatch(/^ +\d+\.\d % {2}\D/);
  });

  it('goes on after a picture it cannot read, and ends with exit code 1', async () => {
    writeFileSync(path('empty.jpg'), '');
    writeFileSync(path('text.jpg'), 'no picture');
    const whole = await plain(1, 2, 3, 300).jpeg({ quality: 100 }).toBuffer();
    writeFileSync(path('truncated.jpg'), whole.subarray(0, whole.length / 2));
    const files = ['empty.jpg', 'pictures/red.jpg', 'text.jpg', 'truncated.jpg', 'missing.jpg'].map(path);
    const run = await dsconv('classify', ...files, '--model', quantized, '--json');
    expect(run.code).toBe(1);
    const { results } = run.json<Output>();
    expect(results.map(({ error }) => error?.code)).toEqual([
      'PICTURE',
      undefined,
      'PICTURE',
      'PICTURE',
      'FILE',
    ]);
    expect(results.map(({ file }) => file)).toEqual(files);

    const text = await dsconv('classify', ...files, '--model', quantized);
    expect(text.code).toBe(1);
    expect(text.err.trimEnd().split('\n')).toHaveLength(4);
    for (const line of text.err.trimEnd().split('\n')) expect(line).toMatch(/^error: /);
    expect(text.out).toMatch(/red\.jpg/);
  });

  it('says which backend it uses when asked', async () => {
    const run = await dsconv('classify', path('pictures/red.jpg'), '--model', quantized, '--verbose');
    expect(run.err).toMatch(/^backend dsconv-cpu, tier (native|wasm|js)/m);
    const pinned = await dsconv(
      ...['classify', path('pictures/red.jpg'), '--model', quantized],
      ...['--backend', 'dsconv-cpu/js', '--verbose'],
    );
    expect(pinned.err).toMatch(/^backend dsconv-cpu\/js, tier js/m);
  });

  it('knows the network in the package', async () => {
    const pictures = examplePictures('resnet20.fashion_mnist')!.pathname;
    const run = await dsconv('classify', pictures, '--model', 'resnet20.fashion_mnist', '--json');
    expect(run.err).toBe('');
    expect(run.json<Output>().results.length).toBeGreaterThan(5);
  });
});
