/** The built command as a process: what cannot be seen in-process. Run `npm run build` first. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createArchitecture, Network, randomParameters } from '@dsconv/models';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder, writeFloat } from './support.js';

const bin = fileURLToPath(new URL('../bin/dsconv.js', import.meta.url));
const built = existsSync(new URL('../dist/index.js', import.meta.url));
const folder = temporaryFolder();
const path = (name: string) => join(folder, name);

function start(...argv: string[]) {
  const child = spawn(process.execPath, [bin, ...argv]);
  const seen = { out: '', err: '' };
  child.stdout.on('data', (chunk) => (seen.out += chunk));
  child.stderr.on('data', (chunk) => (seen.err += chunk));
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, ...seen }));
  });
  return { child, ended };
}

describe('the process', () => {
  beforeEach((context) => context.skip(!built, 'apps/cli is not built: npm run build'));

  it('hands exit codes on', async () => {
    expect(await start('--version').ended).toMatchObject({ code: 0, out: expect.stringMatching(/^\d/) });
    expect(await start('inspect', path('none')).ended).toMatchObject({ code: 1, out: '' });
    const usage = await start('--nonsense').ended;
    expect(usage).toMatchObject({ code: 2, err: "error: unknown option '--nonsense'\n" });
  });

  it('is quiet when the reader of stdout goes away', async () => {
    const float = writeFloat(path('float.safetensors'));
    const { child, ended } = start('inspect', float, '--json');
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, err: '' });
  });

  it('ends on Ctrl-C with code 130 and no file', async () => {
    const architecture = createArchitecture('mobilenet_v1_1.0');
    const preprocessing = {
      size: 224,
      channels: 3 as const,
      resize: { mode: 'exact' as const, cropRatio: 1 },
      interpolation: 'bilinear' as const,
      antialias: false,
      range: [0, 1] as const,
      mean: [0, 0, 0],
      std: [1, 1, 1],
    };
    const weights = randomParameters(architecture, 1);
    const large = writeFloat(
      path('large.safetensors'),
      new Network({ architecture, weights, preprocessing }),
    );
    mkdirSync(path('out'));
    const { child, ended } = start('quantize', large, '-o', path('out/q.safetensors'), '--verbose');
    // `--verbose` tells that the command has begun its work.
    child.stderr.once('data', () => child.kill('SIGINT'));
    expect(await ended).toMatchObject({
      code: 130,
      out: '',
      err: expect.stringMatching(/error: interrupted\n$/),
    });
    expect(readdirSync(path('out'))).toEqual([]);
  });
});
