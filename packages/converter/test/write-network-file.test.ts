import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as files from 'node:fs/promises';
import { join } from 'node:path';
import { createArchitecture, getModel, Network, randomParameters, writeNetwork } from '@dsconv/models';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FileAccessError, writeNetworkFile } from '../src/index.js';
import { scratchFolder } from './support/scratch-folder.js';

vi.mock('node:fs/promises', { spy: true });

const scratch = scratchFolder();
const architecture = createArchitecture('resnet20');
const network = new Network({
  architecture,
  weights: randomParameters(architecture, 1),
  preprocessing: getModel('resnet20.cifar10').preprocessing,
});

afterEach(() => {
  vi.resetAllMocks();
});

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: mocked`), { code });
}

describe('writeNetworkFile', () => {
  it('writes the bytes of writeNetwork, over an older file too, and leaves nothing else', async () => {
    const folder = join(scratch, 'plain');
    mkdirSync(folder);
    const path = join(folder, 'net.safetensors');
    writeFileSync(path, 'old');
    expect(await writeNetworkFile(path, network)).toBe(writeNetwork(network).length);
    expect(Buffer.compare(readFileSync(path), writeNetwork(network))).toBe(0);
    expect(readdirSync(folder)).toEqual(['net.safetensors']);
  });

  it('refuses a folder and a missing folder', async () => {
    await expect(writeNetworkFile(scratch, network)).rejects.toThrow(FileAccessError);
    await expect(writeNetworkFile(scratch, network)).rejects.toThrow(
      /is a folder; expected the path of a file/,
    );
    const missing = join(scratch, 'no', 'net.safetensors');
    await expect(writeNetworkFile(missing, network)).rejects.toThrow(/its folder does not exist/);
    await expect(writeNetworkFile('/dev/null/net', network)).rejects.toThrow(/its folder does not exist/);
  });

  it.each(['writeFile', 'sync'] as const)(
    'keeps the old file when the disk is full at %s',
    async (method) => {
      const folder = join(scratch, method);
      mkdirSync(folder);
      const path = join(folder, 'net.safetensors');
      writeFileSync(path, 'old');
      const { open } = await vi.importActual<typeof files>('node:fs/promises');
      vi.mocked(files.open).mockImplementation(async (...args) => {
        const handle = await open(...args);
        vi.spyOn(handle, method).mockRejectedValue(failure('ENOSPC'));
        return handle;
      });
      const attempt = writeNetworkFile(path, network);
      await expect(attempt).rejects.toThrow(FileAccessError);
      await expect(attempt).rejects.toThrow(`${path}: cannot write: the disk is full`);
      expect(readFileSync(path, 'utf8')).toBe('old');
      expect(readdirSync(folder)).toEqual(['net.safetensors']);
    },
  );

  it('removes the temporary file when the rename fails', async () => {
    const folder = join(scratch, 'rename');
    mkdirSync(folder);
    vi.mocked(files.rename).mockRejectedValue(failure('EACCES'));
    await expect(writeNetworkFile(join(folder, 'n'), network)).rejects.toThrow(/permission is denied/);
    expect(readdirSync(folder)).toEqual([]);
  });

  // A tmpfs needs privileges; where they are missing the mocked test above has to do.
  const mounted = join(scratch, 'small-disk');
  mkdirSync(mounted);
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mounted]).status === 0;
  it.skipIf(!isMounted)(
    'keeps the old file on a disk that is really full (needs the right to mount)',
    async () => {
      const path = join(mounted, 'net.safetensors');
      try {
        writeFileSync(path, 'old');
        await expect(writeNetworkFile(path, network)).rejects.toThrow(/cannot write: the disk is full/);
        expect(readFileSync(path, 'utf8')).toBe('old');
        expect(readdirSync(mounted)).toEqual(['net.safetensors']);
      } finally {
        spawnSync('umount', [mounted]);
      }
      expect(existsSync(path)).toBe(false);
    },
  );
});
