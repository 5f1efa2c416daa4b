import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type * as promises from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@dsconv/converter';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { dsconv, temporaryFolder, writeFloat } from './support.js';

/** The system error that the next write meets. */
const failure = vi.hoisted(() => ({ code: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof promises>();
  const open: typeof real.open = async (path, ...rest) => {
    const file = await real.open(path, ...rest);
    const writeFile = file.writeFile.bind(file);
    file.writeFile = async (data, ...options) => {
      if (failure.code === '') return writeFile(data, ...options);
      await writeFile('half');
      throw Object.assign(new Error(`${failure.code}: write`), { code: failure.code, syscall: 'write' });
    };
    return file;
  };
  return { ...real, open };
});

const folder = temporaryFolder();
mkdirSync(join(folder, 'out'));
const path = (name: string) => join(folder, 'out', name);

afterEach(() => {
  failure.code = '';
});

describe('writing files', () => {
  it('replaces a file in one step', async () => {
    writeFileSync(path('a'), 'old');
    await writeFileAtomic(path('a'), 'new');
    expect(readFileSync(path('a'), 'utf8')).toBe('new');
    expect(readdirSync(join(folder, 'out'))).toEqual(['a']);
  });

  it.each([
    ['ENOSPC', /cannot write: the disk is full/],
    ['EIO', /the device reported an error/],
    ['EDQUOT', /quota/],
    ['EWEIRD', /EWEIRD: write/],
  ])('a disk that fails with %s leaves what was there', async (code, message) => {
    writeFileSync(path('a'), 'old');
    failure.code = code;
    const error = await writeFileAtomic(path('a'), 'new').catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'FILE_ACCESS', message: expect.stringMatching(message) });
    expect((error as Error).message).toContain(path('a'));
    expect(readFileSync(path('a'), 'utf8')).toBe('old');
    expect(readdirSync(join(folder, 'out'))).toEqual(['a']);
  });

  it('quantize on a full disk writes nothing', async () => {
    const float = writeFloat(join(folder, 'float.safetensors'));
    failure.code = 'ENOSPC';
    const run = await dsconv('quantize', float, '-o', path('q.safetensors'), '--method', 'absmax', '--json');
    expect(run.code).toBe(1);
    expect(run.json()).toEqual({
      error: {
        code: 'FILE_ACCESS',
        message: `${path('q.safetensors')}: cannot write: the disk is full`,
      },
    });
    expect(existsSync(path('q.safetensors'))).toBe(false);
    expect(readdirSync(join(folder, 'out'))).toEqual(['a']);
  });
});
