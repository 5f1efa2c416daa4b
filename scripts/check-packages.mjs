/** Packs every published package and holds the tarball against publint and "are the types wrong?"; checks README and licence too. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'dsconv-pack-'));
let failures = 0;

for (const parent of ['packages', 'apps']) {
  for (const name of readdirSync(parent)) {
    const root = join(parent, name);
    if (!existsSync(join(root, 'package.json'))) continue;
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    if (manifest.private) continue;
    const problems = check(root, manifest);
    failures += problems.length === 0 ? 0 : 1;
    console.log(`${manifest.name}: ${problems.length === 0 ? 'ok' : problems.join('\n  ')}`);
  }
}
rmSync(folder, { recursive: true, force: true });
process.exitCode = failures === 0 ? 0 : 1;

function check(root, manifest) {
  const problems = [];
  for (const file of ['README.md', 'LICENSE']) {
    if (!existsSync(join(root, file))) problems.push(`${file} is missing`);
  }
  if (manifest.license !== 'Apache-2.0') problems.push(`license is ${manifest.license}; expected Apache-2.0`);
  const packed = attempt('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root);
  if (packed.error) return [...problems, packed.error];
  const listing = JSON.parse(packed.output);
  const [{ filename }] = Array.isArray(listing) ? listing : Object.values(listing);
  const tarball = join(folder, filename);
  for (const [tool, args] of [
    ['publint', [tarball, '--strict']],
    ['attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--quiet']],
  ]) {
    const result = attempt('npx', [tool, ...args], '.');
    if (result.error) problems.push(`${tool}: ${result.error}`);
  }
  return problems;
}

function attempt(command, args, cwd) {
  try {
    return {
      output: execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    };
  } catch (error) {
    return { error: `${error.stdout ?? ''}${error.stderr ?? ''}`.trim() || error.message };
  }
}
