import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CLASSES,
  dsconv,
  dsconvWith,
  floatNetwork,
  plain,
  temporaryFolder,
  writeFloat,
  writeQuantized,
} from './support.js';

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
let float: string;
let quantized: string;

/** Colours that a network can tell apart, one per class. */
const COLOURS = [
  [230, 20, 20],
  [20, 230, 20],
  [20, 20, 230],
  [230, 230, 20],
  [20, 230, 230],
] as const;

beforeAll(async () => {
  float = writeFloat(path('float.safetensors'));
  quantized = await writeQuantized(path('quantized.safetensors'));
  for (const set of ['train', 'test']) {
    mkdirSync(path(set));
    for (let n = 0; n < (set === 'train' ? 20 : 10); n++) {
      const [r, g, b] = COLOURS[n % CLASSES]!;
      const shade = (value: number) => Math.min(255, value + ((n * 37) % 25));
      await plain(shade(r), shade(g), shade(b)).toFile(
        path(`${set}/${String(n % CLASSES).padStart(4, '0')}_${n}.png`),
      );
    }
  }
  // Names begin with the class.
  for (const set of ['train', 'test']) {
    const entries = Array.from({ length: set === 'train' ? 20 : 10 }, (_, n) => ({
      file: `${String(n % CLASSES).padStart(4, '0')}_${n}.png`,
      labelIndex: n % CLASSES,
    }));
    writeFileSync(path(`${set}/labels.json`), JSON.stringify(entries));
  }
});

const finetune = (output: string, ...more: string[]) =>
  dsconv('finetune', '--data', path('train'), '-o', path(output), '--batch', '5', ...more);

describe('finetune', () => {
  it('retrains a float model in few bits, keeps the best, and writes log and curve', async () => {
    const run = await finetune(
      'a.safetensors',
      '--model',
      float,
      '--bits',
      '3',
      '--block',
      '16',
      '--validate',
      path('test'),
      '--epochs',
      '4',
      '--rate',
      '0.003',
      '--log',
      path('a.jsonl'),
      '--curve',
      path('a.svg'),
      '--teacher',
      float,
      '--json',
    );
    expect(run.err).toBe('');
    expect(run.code).toBe(0);
    const result = run.json<{
      epochs: { epoch: number; loss: number; score: number }[];
      bestScore: number;
      bytes: number;
      pictures: number;
    }>();
    expect(result.pictures).toBe(20);
    expect(result.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(result.bestScore).toBe(Math.max(...result.epochs.map(({ score }) => score), result.bestScore));
    const lines = readFileSync(path('a.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { step?: number });
    expect(lines.filter(({ step }) => step !== undefined)).toHaveLength(16);
    expect(readFileSync(path('a.svg'), 'utf8')).toMatch(/^<\?xml[\s\S]*<polyline[\s\S]*<\/svg>\n$/);
    expect(existsSync(path('a.safetensors.checkpoint'))).toBe(false);
    const scored = await dsconv('eval', path('test'), '--model', path('a.safetensors'), '--json');
    expect(scored.json<{ top1: number }>().top1).toBe(result.bestScore);
  });

  it('replaces the classifier for a new task', async () => {
    const run = await finetune(
      'b.safetensors',
      '--model',
      float,
      '--bits',
      '4',
      '--classes',
      '7',
      '--epochs',
      '2',
      '--bits-by-epoch',
      '4,2',
      '--json',
    );
    expect(run).toMatchObject({ err: '', code: 0 });
    const shown = await dsconv('inspect', path('b.safetensors'), '--json');
    const text = JSON.stringify(shown.json());
    expect(text).toContain('"classes":7');
    // All but the first layer.
    expect(text.match(/"bits":2\b/g)).toHaveLength(19);
  });

  it('ends after the step at Ctrl-C with 130, and goes on to what it would have been', async () => {
    const options = ['--model', quantized, '--epochs', '3', '--rate', '0.001', '--shift', '1'];
    const whole = await finetune('whole.safetensors', ...options);
    expect(whole.code).toBe(0);
    const stop = new AbortController();
    let seen = 0;
    const args = [
      'finetune',
      '--data',
      path('train'),
      '-o',
      path('part.safetensors'),
      '--batch',
      '5',
      ...options,
    ];
    const interrupted = await dsconvWith(
      { signal: stop.signal, isTTY: true, onStderr: () => ++seen === 8 && stop.abort() },
      ...args,
    );
    expect(interrupted.code).toBe(130);
    expect(interrupted.err).toMatch(/stopped after step \d+; --resume goes on from/);
    expect(existsSync(path('part.safetensors'))).toBe(false);
    const resumed = await dsconv(...args, '--resume');
    expect(resumed.err).not.toMatch(/error/);
    expect(resumed.code).toBe(0);
    expect(readFileSync(path('part.safetensors')).equals(readFileSync(path('whole.safetensors')))).toBe(true);
  });

  it('refuses to go on with other settings, or from nothing', async () => {
    const none = await finetune('none.safetensors', '--model', quantized, '--resume');
    expect(none).toMatchObject({ code: 2 });
    expect(none.err).toMatch(/there is no checkpoint/);
    writeFileSync(path('bad.checkpoint'), 'nonsense');
    const bad = await finetune(
      'c.safetensors',
      '--model',
      quantized,
      '--resume',
      '--checkpoint',
      path('bad.checkpoint'),
    );
    expect(bad.code).toBe(1);
    expect(bad.err).toMatch(/bad\.checkpoint/);
    const kept = await finetune(
      'd.safetensors',
      '--model',
      quantized,
      '--epochs',
      '1',
      '--checkpoint',
      path('kept.checkpoint'),
    );
    expect(kept.code).toBe(0);
    for (const changed of [
      ['--epochs', '2'],
      ['--epochs', '1', '--zoom', '60%'],
      ['--epochs', '1', '--size', '16'],
      ['--epochs', '1', '--mirror'],
    ]) {
      const other = await finetune(
        'd.safetensors',
        '--model',
        quantized,
        ...changed,
        '--resume',
        '--checkpoint',
        path('kept.checkpoint'),
      );
      expect(other.code, changed.join(' ')).toBe(1);
      expect(other.err).toMatch(/was written with .*"epochs":1.*expected the settings of this run/);
    }
  });

  it('names pictures that cannot be read, and leaves them out when asked to', async () => {
    mkdirSync(path('some'));
    writeFileSync(
      path('some/labels.json'),
      JSON.stringify([
        { file: 'good.png', labelIndex: 1 },
        { file: 'bad.png', labelIndex: 2 },
      ]),
    );
    await plain(1, 2, 3).toFile(path('some/good.png'));
    writeFileSync(path('some/bad.png'), 'no picture');
    const args = [
      'finetune',
      '--model',
      quantized,
      '--data',
      path('some'),
      '-o',
      path('e.safetensors'),
      '--epochs',
      '1',
      '--batch',
      '1',
    ];
    const refused = await dsconv(...args);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/error: picture '.*bad\.png' cannot be decoded/);
    expect(existsSync(path('e.safetensors'))).toBe(false);
    const skipped = await dsconv(...args, '--skip-bad', '--json');
    expect(skipped.code).toBe(0);
    expect(skipped.err).toMatch(/skipped .*bad\.png/);
    expect(skipped.json<{ pictures: number; skipped: unknown[] }>()).toMatchObject({
      pictures: 1,
      skipped: [{}],
    });
  });

  it.each([
    [['--model', 'FLOAT'], /--bits is missing for .*from float weights/],
    [['--model', 'QUANTIZED', '--bits', '4'], /--bits is 4 with a model that is quantized/],
    [['--model', 'QUANTIZED', '--epochs', '0'], /--epochs is 0; expected at least 1/],
    [['--model', 'FLOAT', '--bits', '4', '--classes', '1'], /--classes is 1/],
  ])('%j', async (args, message) => {
    const run = await finetune(
      'f.safetensors',
      ...args.map((arg) => (arg === 'FLOAT' ? float : arg === 'QUANTIZED' ? quantized : arg)),
    );
    expect(run.code).toBe(1);
    expect(run.err).toMatch(message);
  });

  it.each([
    ['adam', '0.01', '0.1'],
    ['momentum', '0.02', '0.005'],
  ])('trains from scratch what the model is only the plan of, by %s', async (optimizer, rate, decay) => {
    const run = await finetune(
      `s-${optimizer}.safetensors`,
      '--optimizer',
      optimizer,
      '--model',
      quantized,
      '--from-scratch',
      '--bits',
      '4',
      '--block',
      '16',
      '--validate',
      path('test'),
      '--epochs',
      '12',
      '--rate',
      rate,
      '--weight-decay',
      decay,
      '--json',
    );
    expect(run.err).toBe('');
    expect(run.code).toBe(0);
    expect(run.json<{ bestScore: number }>().bestScore).toBeGreaterThan(0.8);
  });

  it('refuses classes that the network does not have, and pictures without labels', async () => {
    mkdirSync(path('bare'));
    await plain(1, 2, 3).toFile(path('bare/x.png'));
    const bare = await dsconv(
      'finetune',
      '--model',
      quantized,
      '--data',
      path('bare'),
      '-o',
      path('g.safetensors'),
    );
    expect(bare.code).toBe(1);
    expect(bare.err).toMatch(/the classes of '.*bare' are not known/);
  });
});

describe('adapt', () => {
  it('comes nearer to the float network without labels', async () => {
    const run = await dsconv(
      'adapt',
      '--model',
      quantized,
      '--teacher',
      float,
      '--pictures',
      path('train'),
      '--validate',
      path('test'),
      '-o',
      path('h.safetensors'),
      '--epochs',
      '2',
      '--batch',
      '5',
      '--json',
    );
    expect(run.err).toBe('');
    expect(run.code).toBe(0);
    const result = run.json<{ epochs: { loss: number }[]; bestScore: number }>();
    expect(result.epochs).toHaveLength(2);
    expect(result.bestScore).toBeGreaterThan(0.5);
    expect(existsSync(path('h.safetensors'))).toBe(true);
  });

  it('refuses a teacher of another shape', async () => {
    const other = writeFloat(path('other.safetensors'), floatNetwork({ classes: 3 }));
    const run = await dsconv(
      'adapt',
      '--model',
      quantized,
      '--teacher',
      other,
      '--pictures',
      path('train'),
      '-o',
      path('i.safetensors'),
    );
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/teacher is a resnet20 of 3 classes; expected resnet20 of 5/);
  });
});
