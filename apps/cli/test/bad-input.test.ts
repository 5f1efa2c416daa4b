/** Everything that can be wrong with what a user gives: one sentence, a code, nothing half-written. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { dsconv, dsconvWith, floatNetwork, temporaryFolder, writeFloat, writeQuantized } from './support.js';

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
let float: string;
let quantized: string;

beforeAll(async () => {
  float = writeFloat(path('float.safetensors'));
  quantized = await writeQuantized(path('quantized.safetensors'));
  mkdirSync(path('out'));
});

/** Runs in both modes and checks the form of the error; returns it. */
async function fails(exitCode: number, ...argv: string[]): Promise<{ code: string; message: string }> {
  const text = await dsconv(...argv);
  expect(text.code, text.err).toBe(exitCode);
  expect(text.out).toBe('');
  const run = await dsconv(...argv, '--json');
  expect(run.code).toBe(exitCode);
  const { error } = run.json<{ error: { code: string; message: string } }>();
  expect(error.message).not.toMatch(/\n|^\s*$|\[object|undefined/);
  expect(text.err.endsWith(`error: ${error.message}\n`)).toBe(true);
  expect(text.err).not.toMatch(/^\s+at /m);
  return error;
}

describe('usage', () => {
  const cases: [title: string, argv: string[], message: RegExp][] = [
    ['unknown command', ['frobnicate'], /unknown command 'frobnicate'/],
    ['unknown option', ['doctor', '--jsn'], /unknown option '--jsn' \(Did you mean --json\?\)/],
    ['missing argument', ['classify', '--model', 'x'], /missing required argument 'picture'/],
    ['missing option', ['classify', 'a.jpg'], /'--model <file\|id>' not specified/],
    [
      'malformed number',
      ['quantize', 'a', '-o', 'b', '--bits', 'four'],
      /'four' is invalid. Expected an integer/,
    ],
    ['fraction', ['quantize', 'a', '-o', 'b', '--bits', '4.5'], /Expected an integer/],
    ['unknown choice', ['quantize', 'a', '-o', 'b', '--scales', 'f8'], /Allowed choices are f16, f32/],
    ['malformed filter', ['eval', 'a', '--model', 'b', '--filter-mod', '4'], /MODULUS=REMAINDER/],
    ['empty list', ['bench', 'layers', '--tiers', 'a,,b'], /separated by commas/],
    ['too many arguments', ['doctor', 'now'], /too many arguments/],
  ];
  it('no command shows what there is, with exit code 2', async () => {
    for (const argv of [[], ['bench']]) {
      const run = await dsconv(...argv);
      expect(run).toMatchObject({ code: 2, out: '' });
      expect(run.err).toMatch(
        /^Usage: dsconv.*\nerror: no command is given; expected one of those above\n$/s,
      );
    }
  });

  it.each(cases)('%s is exit code 2', async (_, argv, message) => {
    const error = await fails(2, ...argv);
    expect(error.code).toBe('USAGE');
    expect(error.message).toMatch(message);
  });
});

describe('values out of range', () => {
  const cases: [title: string, argv: () => string[], message: RegExp][] = [
    [
      'bits of 9',
      () => ['quantize', float, '-o', path('o'), '--bits', '9'],
      /--bits is 9; expected .* 2 to 8/,
    ],
    ['bits of 1', () => ['quantize', float, '-o', path('o'), '--bits', '1'], /--bits is 1/],
    ['first bits', () => ['quantize', float, '-o', path('o'), '--first-bits', '0'], /--first-bits is 0/],
    [
      'block of 0',
      () => ['quantize', float, '-o', path('o'), '--block', '0'],
      /--block is 0; expected at least 1/,
    ],
    ['huge block', () => ['quantize', float, '-o', path('o'), '--block', '999999'], /blockSize is 999999/],
    [
      'activations',
      () => ['quantize', float, '-o', path('o'), '--activation-bits', '16'],
      /--activation-bits is 16/,
    ],
    ['top of 0', () => ['classify', 'a.jpg', '--model', quantized, '--top', '0'], /--top is 0/],
    ['batch of 0', () => ['eval', folder, '--model', quantized, '--batch', '0'], /--batch is 0/],
    ['modulus of 0', () => ['eval', folder, '--model', quantized, '--filter-mod', '0=0'], /modulus .* is 0/],
    ['bench bits', () => ['bench', 'layers', '--bits', '9'], /--bits is 9/],
    ['bench network', () => ['bench', 'layers', '--network', 'vgg'], /network is 'vgg'; expected one of/],
    ['bench peer', () => ['bench', 'layers', '--peer', 'onnx'], /peer is 'onnx'; expected one of tfjs-wasm/],
    ['bench tier', () => ['bench', 'layers', '--tiers', 'avx9'], /tier 'avx9' is not one of/],
  ];
  it.each(cases)('%s is exit code 1', async (_, argv, message) => {
    const error = await fails(1, ...argv());
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toMatch(message);
    expect(existsSync(path('o'))).toBe(false);
  });
});

describe('models', () => {
  /** The header of a safetensors file changed as text, its length kept right. */
  const changed = (file: string, edit: (header: string) => string) => {
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = Buffer.from(edit(bytes.subarray(8, 8 + length).toString()));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([prefix, header, bytes.subarray(8 + length)]);
  };
  const hugeHeader = Buffer.alloc(64);
  hugeHeader.writeBigUInt64LE(2n ** 60n);

  const cases: [title: string, bytes: () => Uint8Array, message: RegExp][] = [
    ['truncated', () => readFileSync(quantized).subarray(0, statSync(quantized).size - 100), /./],
    ['cut inside the header', () => readFileSync(quantized).subarray(0, 200), /header length/],
    ['a header length of 2^60', () => hugeHeader, /header length is 1152921504606846976/],
    ['empty', () => new Uint8Array(0), /is empty: it has 0 bytes/],
    ['eight zeros', () => new Uint8Array(8), /./],
    ['text', () => Buffer.from('this is not a safetensors file, only words'), /header length/],
    ['broken JSON', () => changed(quantized, (header) => header.replace('{', '[')), /./],
    ['a wrong shape', () => changed(float, (header) => header.replace('[3,3,3,16]', '[3,3,16,3]')), /./],
    [
      'another architecture',
      () => changed(quantized, (header) => header.replace('resnet20', 'resnet32')),
      /./,
    ],
    [
      'an unknown architecture',
      () => changed(quantized, (header) => header.replace('resnet20', 'resnot20')),
      /resnot20/,
    ],
  ];
  it.each(cases)('%s: inspect, classify and quantize say so', async (title, bytes, message) => {
    const file = path(`${title.replaceAll(/\W/g, '-')}.safetensors`);
    writeFileSync(file, bytes());
    for (const argv of [
      ['inspect', file],
      ['classify', 'a.jpg', '--model', file],
      ['quantize', file, '-o', path('out/never.safetensors')],
    ]) {
      const error = await fails(1, ...argv);
      expect(['FILE_FORMAT', 'FILE', 'UNKNOWN_MODEL']).toContain(error.code);
      expect(error.message).toMatch(message);
      expect(error.message).toContain(file);
    }
    expect(readdirSync(path('out'))).toEqual([]);
  });

  it('NaN weights are named by layer', async () => {
    const network = floatNetwork({
      change: (weights) => {
        (weights.get('layer1.0.conv1')!.filter as Float32Array)[17] = NaN;
      },
    });
    const error = await fails(
      1,
      ...['quantize', writeFloat(path('nan.safetensors'), network), '-o', path('out/never')],
    );
    expect(error.message).toMatch(/layer1\.0\.conv1.*17.*NaN/);
    expect(readdirSync(path('out'))).toEqual([]);
  });

  it('weights that belong to no known network say so', async () => {
    const tensor = { dtype: 'F32' as const, shape: [2], data: Float32Array.of(1, 2) };
    writeFileSync(path('other.safetensors'), writeSafetensors(new Map([['strange.weight', tensor]])));
    expect(readSafetensors(new Uint8Array(readFileSync(path('other.safetensors'))), 'x').tensors.size).toBe(
      1,
    );
    const error = await fails(1, 'inspect', path('other.safetensors'));
    expect(error.message).toContain('other.safetensors');
  });

  it('unknown ids get suggestions, known ids without weights a source', async () => {
    const unknown = await fails(1, 'classify', 'a.jpg', '--model', 'resnet20.fashion');
    expect(unknown).toMatchObject({
      code: 'UNKNOWN_MODEL',
      message: expect.stringMatching(/neither a file nor the id of a network.*'resnet20\.fashion_mnist'/),
    });
    const absent = await fails(1, 'inspect', 'resnet56.cifar10');
    expect(absent).toMatchObject({ code: 'MODEL_NOT_SHIPPED' });
  });

  it('folders and JSON files that are no model say so', async () => {
    writeFileSync(path('model.json'), '{"format":"layers-model"}');
    for (const file of [path('model.json'), path('out'), folder]) {
      const error = await fails(1, 'inspect', file);
      expect(error.code).not.toBe('INTERNAL');
    }
  });
});

describe('outputs', () => {
  it('a folder, and a path in a folder that does not exist', async () => {
    expect((await fails(1, 'quantize', float, '-o', path('out'))).message).toMatch(/out: is a folder/);
    expect((await fails(1, 'quantize', float, '-o', `${path('new')}/`)).message).toMatch(/is a folder/);
    expect((await fails(1, 'quantize', float, '-o', path('none/q'))).message).toMatch(/does not exist/);
    expect((await fails(1, 'bench', 'layers', '--out', path('out'))).message).toMatch(/is a folder/);
  });

  it.skipIf(!existsSync('/dev/full'))('a full device', async () => {
    const error = await fails(1, 'quantize', float, '-o', '/dev/full', '--method', 'absmax');
    expect(error.message).toBe('/dev/full: cannot write: the disk is full');
    expect(statSync('/dev/full').isCharacterDevice()).toBe(true);
  });
});

describe('backends', () => {
  it('unknown names', async () => {
    const error = await fails(1, 'classify', 'a.jpg', '--model', quantized, '--backend', 'abacus');
    expect(error).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/dsconv-cpu/),
    });
    expect((await fails(1, 'doctor', '--backend', 'abacus')).code).toBe('BACKEND_UNAVAILABLE');
    expect((await fails(1, 'doctor', '--backend', 'dsconv-cpu/abacus')).code).toBe('BACKEND_UNAVAILABLE');
  });
});

describe('debugging', () => {
  it('shows a stack trace only when asked', async () => {
    const run = await dsconvWith({ debug: true }, 'inspect', path('nothing.safetensors'));
    expect(run.err).toMatch(/^\s+at /m);
  });

  it('prints help and version to stdout', async () => {
    for (const argv of [['--help'], ['quantize', '--help'], ['bench', 'layers', '--help']]) {
      const run = await dsconv(...argv);
      expect(run).toMatchObject({ code: 0, err: '' });
      expect(run.out).toMatch(/^Usage: dsconv/);
    }
    for (const command of ['quantize', 'classify', 'eval', 'inspect', 'doctor']) {
      expect((await dsconv(command, '--help')).out).toMatch(/Examples:\n {2}\$ dsconv /);
    }
    expect((await dsconv('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
