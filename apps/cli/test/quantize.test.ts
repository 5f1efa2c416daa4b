import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readNetwork } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { dsconv, dsconvWith, floatNetwork, pattern, temporaryFolder, writeFloat } from './support.js';

interface Output {
  bytesBefore: number;
  bytesAfter: number;
  kernelBytesBefore: number;
  kernelBytesAfter: number;
  bitsPerWeight: number;
  layers: {
    name: string;
    bits: number;
    bytes: number;
    snrDb: number;
    bytesBefore: number;
    bytesAfter: number;
  }[];
}

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
let float: string;

beforeAll(() => {
  float = writeFloat(path('float.safetensors'));
});

describe('quantize', () => {
  it('writes a file with the bytes it reports', async () => {
    const run = await dsconv('quantize', float, '-o', path('q4.safetensors'), '--json');
    expect(run.err).toBe('');
    expect(run.code).toBe(0);
    const report = run.json<Output>();
    expect(report.bytesBefore).toBe(statSync(float).size);
    expect(report.bytesAfter).toBe(statSync(path('q4.safetensors')).size);
    expect(report.kernelBytesBefore / report.kernelBytesAfter).toBeGreaterThan(6);
    expect(report.bitsPerWeight).toBeGreaterThan(4);
    expect(report.bitsPerWeight).toBeLessThan(5);
    expect(report.layers.map(({ bits }) => bits)).toEqual([8, ...new Array(19).fill(4)]);
    for (const { snrDb } of report.layers) expect(snrDb).toBeGreaterThan(15);
    const network = readNetwork(new Uint8Array(readFileSync(path('q4.safetensors'))), 'q4');
    expect(network.kernelByteLength).toBe(report.kernelBytesAfter);
    expect(network.activationBits).toBe(8);
  });

  it('hands its options on', async () => {
    const run = await dsconv(
      ...[
        'quantize',
        float,
        '-o',
        path('q2.safetensors'),
        '--bits',
        '2',
        '--block',
        '32',
        '--first-bits',
        '6',
      ],
      ...['--activation-bits', 'none', '--scales', 'f32', '--method', 'absmax', '--json'],
    );
    expect(run.json<Output>().layers.map(({ bits }) => bits)).toEqual([6, ...new Array(19).fill(2)]);
    const network = readNetwork(new Uint8Array(readFileSync(path('q2.safetensors'))), 'q2');
    expect(network.activationBits).toBeNull();
    const inspected = await dsconv('inspect', path('q2.safetensors'), '--json');
    expect(inspected.json<{ layers: object[] }>().layers[5]).toMatchObject({
      blockSize: 32,
      scales: 'float32',
    });
  });

  it('prints a table and both ratios for people', async () => {
    const run = await dsconv('quantize', float, '-o', path('text.safetensors'), '--method', 'absmax');
    expect(run.out).toMatch(/^kernels .* times smaller \(4\.\d+ bits per weight\)$/m);
    expect(run.out).toMatch(/^file .* times smaller$/m);
    expect(run.out).toMatch(/^conv1 .* dB$/m);
    expect(run.out).toContain(`wrote ${path('text.safetensors')}`);
  });

  it('shows progress on a terminal and removes it', async () => {
    const run = await dsconvWith(
      { isTTY: true },
      ...['quantize', float, '-o', path('bar.safetensors'), '--method', 'absmax'],
    );
    expect(run.err).toMatch(/quantize [█░]{24} \d+\/20/);
    expect(run.err.endsWith('\r\x1b[K')).toBe(true);
    expect(run.out).not.toContain('█');
  });

  it('leaves nothing behind when it is interrupted', async () => {
    const before = readdirSync(folder);
    const controller = new AbortController();
    const argv = ['quantize', float, '-o', path('interrupted.safetensors')];
    // The first sign of progress is the moment of Ctrl-C.
    const interrupt = { signal: controller.signal, isTTY: true, onStderr: () => controller.abort() };
    const run = await dsconvWith(interrupt, ...argv);
    expect(run).toMatchObject({ code: 130, out: '', err: expect.stringMatching(/error: interrupted\n/) });
    const json = await dsconvWith({ signal: AbortSignal.abort() }, ...argv, '--json');
    expect(json.code).toBe(130);
    expect(json.json()).toMatchObject({ error: { code: 'INTERRUPTED' } });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(readdirSync(folder)).toEqual(before);
  });

  it('does not write over its input or quantize twice', async () => {
    const same = await dsconv('quantize', float, '-o', float);
    expect(same).toMatchObject({ code: 1, err: expect.stringMatching(/is the input/) });
    const twice = await dsconv('quantize', path('q4.safetensors'), '-o', path('twice.safetensors'));
    expect(twice).toMatchObject({ code: 1, err: expect.stringMatching(/already quantized/) });
  });

  it('replaces an older file only when the new one is complete', async () => {
    writeFileSync(path('old.safetensors'), 'old');
    const failed = await dsconv('quantize', path('q4.safetensors'), '-o', path('old.safetensors'));
    expect(failed.code).toBe(1);
    expect(readFileSync(path('old.safetensors'), 'utf8')).toBe('old');
    await dsconv('quantize', float, '-o', path('old.safetensors'), '--method', 'absmax');
    expect(statSync(path('old.safetensors')).size).toBeGreaterThan(1000);
  });
});

describe('quantize --calibrate', () => {
  let pictures: string;

  beforeAll(async () => {
    pictures = path('pictures');
    mkdirSync(pictures);
    for (let n = 0; n < 8; n++) {
      await pattern(20 + 3 * n, 40 - 2 * n).toFile(join(pictures, `000${n}.png`));
    }
    writeFileSync(join(pictures, 'notes.txt'), 'no picture');
  });

  const calibrate = (output: string, ...more: string[]) =>
    dsconv('quantize', float, '-o', path(output), '--bits', '3', '--calibrate', pictures, ...more);

  it('fits the network to the pictures and says on how many', async () => {
    const run = await calibrate('calibrated.safetensors', '--json');
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.json()).toMatchObject({ pictures: 8, rounded: [], output: path('calibrated.safetensors') });
    await dsconv('quantize', float, '-o', path('plain.safetensors'), '--bits', '3');
    const score = async (model: string) => {
      const found = await dsconv('eval', pictures, '--model', path(model), '--reference', float, '--json');
      return found.json<{ agreement: number }>().agreement;
    };
    expect(await score('calibrated.safetensors')).toBeGreaterThanOrEqual(await score('plain.safetensors'));
    const size = (model: string): number => statSync(path(model)).size;
    // Ratios in the header may have another number of digits.
    expect(Math.abs(size('calibrated.safetensors') - size('plain.safetensors'))).toBeLessThan(600);
    const text = await calibrate('text.safetensors', '--filter-mod', '4=2');
    expect(text.out).toMatch(/^fitted {3}on 2 pictures$/m);
  });

  it('depends on the seed and on nothing else', async () => {
    await calibrate('one.safetensors', '--limit', '3');
    await calibrate('same.safetensors', '--limit', '3');
    const read = (name: string): Buffer => readFileSync(path(name));
    expect(read('one.safetensors').equals(read('same.safetensors'))).toBe(true);
  });

  it('says what is wrong with the pictures', async () => {
    const none = await calibrate('none.safetensors', '--filter-mod', '100=99');
    expect(none).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no picture of '.*' passes --filter-mod/),
    });
    const limit = await calibrate('none.safetensors', '--limit', '0');
    expect(limit).toMatchObject({ code: 1, err: expect.stringMatching(/--limit is 0; expected at least 1/) });
    const missing = await dsconv(
      'quantize',
      float,
      '-o',
      path('none.safetensors'),
      '--calibrate',
      path('absent'),
    );
    expect(missing).toMatchObject({ code: 1, err: expect.stringMatching(/absent/) });
    writeFileSync(join(pictures, '0009.png'), 'damaged');
    const damaged = await calibrate('none.safetensors');
    expect(damaged).toMatchObject({ code: 1, err: expect.stringMatching(/0009\.png/) });
    expect(existsSync(path('none.safetensors'))).toBe(false);
  });
});

describe('inspect', () => {
  it('describes quantized and float files', async () => {
    const quantized = await dsconv('inspect', path('q4.safetensors'));
    expect(quantized.out).toMatch(/resnet20, 16×16×3 to 5 classes, 8-bit activations/);
    expect(quantized.out).toMatch(/^conv1 +conv2d +3×3×3×16 +8 +channel +\d+ B +\S+ … \S+ +\d+\.\d dB$/m);
    expect(quantized.out).toMatch(/bits per weight$/m);
    const plainFile = await dsconv('inspect', float, '--json');
    const { quantized: isQuantized, layers } = plainFile.json<{ quantized: boolean; layers: object[] }>();
    expect(isQuantized).toBe(false);
    expect(layers[3]).toMatchObject({ bits: 32, blockSize: null, snrDb: null });
  });

  it('computes ratios against a reference', async () => {
    const told = await dsconv('inspect', path('q4.safetensors'), '--json');
    const found = await dsconv('inspect', path('q4.safetensors'), '--reference', float, '--json');
    const ratios = (run: typeof told) => run.json<Output>().layers.map(({ snrDb }) => snrDb);
    ratios(found).forEach((ratio, n) => {
      expect(ratio).toBeCloseTo(ratios(told)[n]!, 2);
    });
    const ten = writeFloat(path('ten.safetensors'), floatNetwork({ classes: 10 }));
    const other = await dsconv('inspect', path('q4.safetensors'), '--reference', ten);
    expect(other).toMatchObject({ code: 1, err: expect.stringMatching(/has \d+ weights; expected/) });
  });
});
