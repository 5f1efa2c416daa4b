/** `quantize` to a size, and `inspect --against` with its report. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { part, sizeTarget } from '../src/targets.js';
import { dsconv, dsconvWith, floatNetwork, pattern, temporaryFolder, writeFloat } from './support.js';

interface Output {
  bitsPerWeight: number;
  bytesBefore: number;
  bytesAfter: number;
  allocation: {
    pictures: number;
    chosen: { kernelBytes: number; measuredLoss: number | null };
    curve: { kernelBytes: number; predictedLoss: number; measuredLoss: number | null }[];
  };
  layers: { name: string; bits: number; blockSize: number }[];
}

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
let float: string;
let pictures: string;

beforeAll(async () => {
  float = writeFloat(path('float.safetensors'));
  pictures = path('pictures');
  mkdirSync(pictures);
  for (let n = 0; n < 6; n++) await pattern(20 + 3 * n, 40 - 2 * n).toFile(join(pictures, `000${n}.png`));
});

const quantize = (...more: string[]) => dsconv('quantize', float, '-o', path('mixed.safetensors'), ...more);

describe('targets as they are written', () => {
  it('are read with their units', () => {
    expect(sizeTarget('10x')).toEqual({ ratio: 10 });
    expect(sizeTarget('7.5X')).toEqual({ ratio: 7.5 });
    expect(sizeTarget('1.5MB')).toEqual({ bytes: 1.5e6 });
    expect(sizeTarget('800 kB')).toEqual({ bytes: 8e5 });
    expect(sizeTarget('4096')).toEqual({ bytes: 4096 });
    expect(part('1%')).toBeCloseTo(0.01, 12);
    expect(part('.025')).toBe(0.025);
    for (const text of ['', 'x', '0x', '-3x', '10y', '1e3'])
      expect(() => sizeTarget(text)).toThrow(/Expected/);
    for (const text of ['', '100%', '1', '-1%', 'half']) expect(() => part(text)).toThrow(/Expected/);
  });
});

describe('quantize to a target', () => {
  it('keeps the bits per weight, and what --layer pins', async () => {
    const run = await quantize(
      ...['--target-bits', '4.2', '--layer', 'layer1.*=6/32', '--layer', 'linear=8', '--json'],
    );
    expect(run).toMatchObject({ code: 0, err: '' });
    const { bitsPerWeight, layers, allocation } = run.json<Output>();
    expect(bitsPerWeight).toBeLessThanOrEqual(4.2);
    expect(bitsPerWeight).toBeGreaterThan(3.9);
    expect(allocation.pictures).toBe(0);
    for (const { name, bits, blockSize } of layers) {
      if (name.startsWith('layer1.')) expect([bits, blockSize]).toEqual([6, 32]);
      if (name === 'linear') expect(bits).toBe(8);
    }
    expect(new Set(layers.map(({ bits }) => bits)).size).toBeGreaterThan(2);
  });

  it('keeps the size of the file, calibrated', async () => {
    const run = await quantize('--target-size', '8x', '--calibrate', pictures);
    expect(run.code).toBe(0);
    expect(run.out).toMatch(
      /^chosen {3}by 6 pictures: divergence from the float network predicted \S+ nats$/m,
    );
    expect(statSync(path('mixed.safetensors')).size).toBeLessThanOrEqual(statSync(float).size / 8);
  });

  it('draws the curve', { timeout: 120_000 }, async () => {
    const run = await quantize('--target-size', '8x', '--pareto', path('curve.svg'));
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^chosen {3}by noise .* predicted \S+ nats; measured \S+, \d+\.\d %/m);
    const { curve, chosen } = JSON.parse(readFileSync(path('curve.json'), 'utf8')) as Output['allocation'];
    expect(curve.map(({ kernelBytes }) => kernelBytes)).toContain(chosen.kernelBytes);
    expect(curve.filter(({ measuredLoss }) => measuredLoss !== null).length).toBeGreaterThanOrEqual(5);
    const svg = readFileSync(path('curve.svg'), 'utf8');
    expect(svg).toMatch(/^<\?xml .*\?>\n<svg [^>]*role="img" aria-label="Bytes of kernels/);
    expect(svg.trim().endsWith('</svg>')).toBe(true);
    expect(svg.match(/<circle /g)!.length).toBeGreaterThanOrEqual(7);
  });

  it('shows what it measures, then what it quantizes', async () => {
    const argv = ['quantize', float, '-o', path('bars.safetensors'), '--target-bits', '4'];
    const run = await dsconvWith({ isTTY: true }, ...argv);
    expect(run.err).toMatch(/measure [█░]{24} \d+\/20[\s\S]*quantize [█░]{24} \d+\/20/);
    expect(run.err.endsWith('\r\x1b[K')).toBe(true);
  });

  it.each([
    [
      ['--target-bits', '4', '--target-size', '9x'],
      2,
      /--target-size and --target-bits are given; expected one/,
    ],
    [['--max-drop', '1%'], 2, /--max-drop is measured on pictures; expected --calibrate/],
    [['--pareto', 'curve'], 2, /--pareto is given without a target/],
    [['--target-bits', 'few'], 2, /Expected a positive number/],
    [['--target-size', 'tiny'], 2, /Expected times smaller, such as 10x/],
    [['--max-drop', '100%'], 2, /Expected a part below the whole/],
    [['--layer', 'conv1'], 2, /Expected PATTERN=BITS or PATTERN=BITS\/BLOCK/],
    [['--layer', 'conv9=4'], 1, /layers has 'conv9', which resnet20 has not; expected names such as conv1/],
    [['--layer', 'conv1=9'], 1, /bits is 9 for layer 'conv1'; expected an integer from 2 to 8/],
    [
      ['--target-bits', '1.5'],
      1,
      /the target leaves \d+ bytes for kernels, 1\.50 bits per weight; expected at least/,
    ],
    [
      ['--target-size', '100x'],
      1,
      /the target leaves \d+ bytes for kernels, 0\.0\d bits per weight; expected at least/,
    ],
  ])('%j ends with a sentence', async (options, code, message) => {
    const argv = ['quantize', float, '-o', path('never.safetensors'), ...options];
    const run = await dsconv(...argv);
    expect(run).toMatchObject({ code, out: '', err: expect.stringMatching(message) });
    expect(existsSync(path('never.safetensors'))).toBe(false);
  });
});

describe('inspect --against', () => {
  const inspect = (...more: string[]) =>
    dsconv('inspect', path('q.safetensors'), '--against', float, '--pictures', pictures, ...more);

  beforeAll(async () => {
    const layers = ['--bits', '8', '--method', 'absmax', '--layer', 'layer2.1.conv2=2'];
    await dsconv('quantize', float, '-o', path('q.safetensors'), ...layers);
    const point = {
      kernelBytes: 2e5,
      bitsPerWeight: 4,
      predictedLoss: 0.1,
      measuredLoss: null,
      agreement: null,
    };
    const curve = [
      { kernelBytes: 1e5, bitsPerWeight: 2, predictedLoss: 1, measuredLoss: 0.8, agreement: 0.5 },
      { kernelBytes: 4e5, bitsPerWeight: 8, predictedLoss: 0, measuredLoss: 0, agreement: 1 },
    ];
    writeFileSync(path('of.json'), JSON.stringify({ pictures: 6, chosen: point, curve }));
  }, 60_000);

  it('ranks layers by harm, as a table and as JSON', async () => {
    const run = await inspect('--limit', '4');
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/against .*, on 4 pictures$/m);
    expect(run.out).toMatch(/^-+[ -]+\nlayer2\.1\.conv2 +2 +64 /m);
    expect(run.out).toMatch(/^whole network: divergence \S+, \d+\.\d % of the classes as in float$/m);
    const json = await inspect('--json');
    expect(json.err).toBe('');
    const { pictures: count, layers } = json.json<{
      pictures: number;
      layers: { name: string; harm: number; weightSimilarity: { snrDb: number; cosine: number } }[];
    }>();
    expect(count).toBe(6);
    expect(layers).toHaveLength(20);
    expect(layers[0]!.name).toBe('layer2.1.conv2');
    expect(layers[0]!.weightSimilarity.snrDb).toBeLessThan(14);
    expect(layers[0]!.weightSimilarity.cosine).toBeGreaterThan(0.8);
  });

  it('writes a report that needs nothing else', async () => {
    const run = await inspect('--html', path('report.html'), '--pareto', path('of.json'));
    expect(run).toMatchObject({ code: 0, out: expect.stringContaining(`wrote ${path('report.html')}`) });
    const html = readFileSync(path('report.html'), 'utf8');
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    // No address but those of names of things and of pictures inside.
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
      /https?:|src="(?!data:image\/png)|@import|<script/,
    );
    expect(html.match(/<article id="layer-/g)).toHaveLength(20);
    expect(html.match(/<img src="data:image\/png;base64,[^"]+" alt="Scales of /g)).toHaveLength(20);
    expect(html.match(/role="img" aria-label="Histogram/g)).toHaveLength(20);
    expect(html).toContain('aria-label="Signal-to-noise ratios of 20 layers');
    expect(html).toContain('aria-label="Bytes of kernels');
    expect(html).toContain('prefers-color-scheme: dark');
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) expect(html).toContain(`id="${target}"`);
  });

  it('escapes what files are named', async () => {
    const odd = path('a<b>&"c".safetensors');
    writeFileSync(odd, readFileSync(path('q.safetensors')));
    await dsconv(
      ...[
        'inspect',
        odd,
        '--against',
        float,
        '--pictures',
        pictures,
        '--html',
        path('odd.html'),
        '--limit',
        '1',
      ],
    );
    expect(readFileSync(path('odd.html'), 'utf8')).not.toContain('<b>&');
  });

  it.each([
    [['--against', 'f'], 2, /expected --pictures <dir> with it/],
    [['--html', 'r.html'], 2, /--html is given without --against/],
    [['--pictures', 'p'], 2, /--pictures is given without --against/],
    [['--pareto', 'c.json'], 2, /--pareto is given without --html/],
    [['--against', 'f', '--pictures', 'p', '--reference', 'f'], 2, /--against and --reference are given/],
  ])('%j ends with a sentence', async (options, code, message) => {
    const run = await dsconv('inspect', path('q.safetensors'), ...options);
    expect(run).toMatchObject({ code, out: '', err: expect.stringMatching(message) });
  });

  it('says what is wrong with files', async () => {
    writeFileSync(path('no-curve.json'), '{"curve": [{"kernelBytes": "many"}]}');
    const curve = await inspect('--html', path('never.html'), '--pareto', path('no-curve.json'));
    expect(curve).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no-curve\.json' is no curve; expected/),
    });
    const ten = writeFloat(path('ten.safetensors'), floatNetwork({ classes: 10 }));
    const other = await dsconv(
      ...[
        'inspect',
        path('q.safetensors'),
        '--against',
        ten,
        '--pictures',
        pictures,
        '--html',
        path('never.html'),
      ],
    );
    expect(other).toMatchObject({ code: 1, err: expect.stringMatching(/of the reference has \d+ weights/) });
    const both = await dsconv('inspect', float, '--against', float, '--pictures', pictures);
    expect(both).toMatchObject({ code: 1, err: expect.stringMatching(/expected a quantized one/) });
    expect(existsSync(path('never.html'))).toBe(false);
  });
});
