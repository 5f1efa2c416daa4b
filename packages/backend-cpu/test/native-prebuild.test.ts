/** Installing the packed package on a machine without a compiler: a prebuilt addon serves, and without one nothing fails. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const addon = join(root, 'native/build/Release/dsconv_cpu.node');
const require = createRequire(import.meta.url);
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Packs the package, with a prebuilt addon or none, and unpacks the tarball as an installed package. */
function install(prebuilt: boolean): string {
  const folder = mkdtempSync(join(tmpdir(), 'dsconv-prebuild-'));
  folders.push(folder);
  const source = join(folder, 'source');
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };
  const needed = files.filter((name) => name === 'install.cjs' || name.startsWith('native/'));
  for (const name of ['package.json', 'README.md', 'LICENSE', ...needed]) {
    if (name !== 'native/prebuilds') cpSync(join(root, name), join(source, name), { recursive: true });
  }
  if (prebuilt) {
    // Where `npm run prebuildify` puts it.
    const place = join(source, 'native/prebuilds', `${process.platform}-${process.arch}`);
    mkdirSync(place, { recursive: true });
    cpSync(addon, join(place, existsSync('/etc/alpine-release') ? 'node.musl.node' : 'node.glibc.node'));
  }
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const listing: unknown = JSON.parse(execFileSync('npm', args, { cwd: source, encoding: 'utf8' }));
  const [{ filename }] = (Array.isArray(listing) ? listing : Object.values(listing as object)) as [
    { filename: string },
  ];
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', folder]);
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['node-gyp-build', 'node-addon-api']) {
    symlinkSync(dirname(require.resolve(`${name}/package.json`)), join(folder, 'node_modules', name));
  }
  return join(folder, 'package');
}

/** Runs Node in the package with nothing else to be found. */
function bare(folder: string, args: string[]): string {
  const env = { PATH: '/nonexistent', npm_config_node_gyp: join(folder, 'no-node-gyp.js') };
  return execFileSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
}

describe('the packed package without a compiler', () => {
  test.skipIf(!existsSync(addon))(
    'loads its prebuilt addon',
    () => {
      const folder = install(true);
      expect(bare(folder, ['install.cjs'])).toContain('native addon prebuilt');
      expect(existsSync(join(folder, 'native/build'))).toBe(false);
      const code = `const native = require('node-gyp-build')('native'); console.log(native.interfaceVersion, native.selfTest());`;
      expect(bare(folder, ['-e', code]).trim()).toBe('1 null');
    },
    60_000,
  );

  test('installs without one, and keeps the reason', () => {
    const folder = install(false);
    expect(bare(folder, ['install.cjs'])).toMatch(
      /native addon not built, the WebAssembly tiers will serve \(.*\)/,
    );
    expect(readFileSync(join(folder, 'native/build-error.txt'), 'utf8')).toContain('no-node-gyp.js');
  }, 60_000);
});
