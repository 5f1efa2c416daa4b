import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Scores } from '../src/eval-scores.js';
import {
  CLASSES,
  dsconv,
  floatNetwork,
  LABELS,
  plain,
  temporaryFolder,
  writeFloat,
  writeQuantized,
} from './support.js';

interface Output {
  images: number;
  top1: number | null;
  top5: number | null;
  agreement: number | null;
  imagesPerSecond: number;
  peakMemoryBytes: number;
  backend: string;
  tier: string;
  reference: { top1: number | null } | null;
}

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
const COUNT = 12;
let quantized: string;
let float: string;
/** What the float network says about each picture: by definition of this test, the truth. */
let truth: number[];

const colour = (n: number) => plain((n * 53) % 256, (n * 101) % 256, (n * 197) % 256).png();

beforeAll(async () => {
  quantized = await writeQuantized(path('quantized.safetensors'));
  float = writeFloat(path('float.safetensors'));
  mkdirSync(path('bare'));
  for (let n = 0; n < COUNT; n++) await colour(n).toFile(path(`bare/picture${n}.png`));
  const run = await dsconv('classify', path('bare'), '--model', float, '--top', '1', '--json');
  truth = run.json<{ results: { top: { index: number }[] }[] }>().results.map(({ top }) => top[0]!.index);
});

const evaluate = async (set: string, ...more: string[]): Promise<Output> => {
  const run = await dsconv('eval', path(set), '--model', quantized, ...more, '--json');
  expect(run.err).toBe('');
  expect(run.code).toBe(0);
  return run.json<Output>();
};

describe('eval', () => {
  it('reports agreement alone when there are no labels', async () => {
    const result = await evaluate('bare', '--reference', float);
    expect(result).toMatchObject({ images: COUNT, top1: null, top5: null, backend: 'dsconv-cpu' });
    expect(result.agreement).toBeGreaterThan(0.7);
    expect(result.imagesPerSecond).toBeGreaterThan(0);
    expect(result.peakMemoryBytes).toBeGreaterThan(1e7);
    const text = await dsconv('eval', path('bare'), '--model', quantized);
    expect(text.err).toMatch(/top-1 and top-5 are not known: /);
    expect(text.out).toMatch(/top-1 +-/);
  });

  it('scores class folders: a float network that defines the truth is always right', async () => {
    for (let n = 0; n < COUNT; n++) {
      const name = LABELS[truth[n]!]!.replaceAll(' ', '_');
      mkdirSync(path(`folders/${name}`), { recursive: true });
      await colour(n).toFile(path(`folders/${name}/${n}.png`));
    }
    const exact = await evaluate('folders', '--model', float, '--reference', float);
    expect(exact).toMatchObject({ images: COUNT, top1: 1, top5: 1, agreement: 1, reference: { top1: 1 } });
    const result = await evaluate('folders', '--reference', float);
    expect(result.top1).toBe(result.agreement);
    // With five classes the fifth place is the last.
    expect(result.top5).toBe(1);
  });

  it('reads labels.json and does not depend on the batch', async () => {
    const entries = truth.map((label, n) => ({ file: `../bare/picture${n}.png`, label }));
    mkdirSync(path('list'));
    writeFileSync(path('list/labels.json'), JSON.stringify(entries));
    const whole = await evaluate('list', '--batch', '5', '--model', float);
    expect(whole).toMatchObject({ images: COUNT, top1: 1, agreement: null, reference: null });
    const wrong = entries.map((entry) => ({ ...entry, label: (entry.label + 1) % CLASSES }));
    writeFileSync(path('list/labels.json'), JSON.stringify(wrong));
    expect(await evaluate('list', '--batch', '1', '--model', float)).toMatchObject({ top1: 0, top5: 1 });
  });

  it('takes a part of the pictures', async () => {
    mkdirSync(path('numbered'));
    for (let n = 0; n < CLASSES; n++) await colour(n).toFile(path(`numbered/000${n}.png`));
    expect(await evaluate('numbered')).toMatchObject({ images: CLASSES });
    expect(await evaluate('numbered', '--filter-mod', '4=0')).toMatchObject({ images: 2 });
    expect(await evaluate('numbered', '--limit', '3')).toMatchObject({ images: 3 });
    const none = await dsconv('eval', path('numbered'), '--model', quantized, '--filter-mod', '9=8');
    expect(none).toMatchObject({ code: 1, err: expect.stringMatching(/passes --filter-mod/) });
  });

  it('reads CIFAR-10 files', async () => {
    const records = new Uint8Array(3 * 3073).map((_, n) => (n * 7) % 256);
    for (const n of [0, 1, 2]) records[n * 3073] = n;
    writeFileSync(path('set.bin'), records);
    expect(await evaluate('set.bin')).toMatchObject({ images: 3, top5: 1 });
  });

  it('stops at a picture it cannot read: a part would be another figure', async () => {
    mkdirSync(path('broken'));
    await colour(1).toFile(path('broken/0000.png'));
    writeFileSync(path('broken/0001.png'), 'text');
    const run = await dsconv('eval', path('broken'), '--model', quantized, '--json');
    expect(run.code).toBe(1);
    expect(run.json()).toMatchObject({ error: { code: 'PICTURE' } });
  });

  it('refuses a reference with other classes', async () => {
    const other = writeFloat(path('ten.safetensors'), floatNetwork({ classes: 10 }));
    const run = await dsconv('eval', path('bare'), '--model', quantized, '--reference', other);
    expect(run).toMatchObject({
      code: 1,
      err: expect.stringMatching(/reference has 10 classes; expected 5/),
    });
  });
});

describe('Scores', () => {
  it('counts places', () => {
    const scores = new Scores();
    scores.add(Float32Array.of(0.1, 0.5, 0.4), 1);
    scores.add(Float32Array.of(0.1, 0.5, 0.4), 0);
    scores.add(Float32Array.of(NaN, NaN, NaN), 0);
    expect(scores.top(1)).toBeCloseTo(1 / 3);
    expect(scores.top(2)).toBeCloseTo(1 / 3);
    expect(scores.top(5)).toBeCloseTo(2 / 3);
    scores.add(Float32Array.of(1, 0, 0), null);
    expect(scores.top(1)).toBeNull();
    expect(new Scores().top(1)).toBeNull();
  });
});
