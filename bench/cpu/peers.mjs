/**
 * onnxruntime-node, installed on first use into bench/.peers. It is no dependency of the project: its install script wants GPU libraries from
 * a server that is no package registry and ends with an error where that cannot be reached, which would fail every `npm ci`; and it weighs
 * 290 MB. The CPU library is inside the package, so that it works without the script.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../.peers/', import.meta.url);
const PACKAGES = { 'onnxruntime-node': '1.30.0' };

/**
 * @returns {Promise<string | null>} why onnxruntime-node is not there, or null when it is
 */
export async function ensurePeers() {
  const missing = [];
  for (const [name, version] of Object.entries(PACKAGES)) {
    if ((await installedVersion(name)) !== version) missing.push(`${name}@${version}`);
  }
  if (missing.length === 0) return null;
  console.error(`installing ${missing.join(', ')} into bench/.peers (npm, without install scripts) …`);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(new URL('package.json', FOLDER), `${JSON.stringify({ private: true })}\n`);
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', ...missing];
  return runNpm(args);
}

/** The module onnxruntime-node. @throws Error when it is not installed */
export function loadOnnxRuntime() {
  return createRequire(new URL('index.js', FOLDER))('onnxruntime-node');
}

async function installedVersion(name) {
  const manifest = new URL(`node_modules/${name}/package.json`, FOLDER);
  return existsSync(manifest) ? JSON.parse(await readFile(manifest, 'utf8')).version : null;
}

function runNpm(args) {
  return new Promise((resolve) => {
    const child = spawn('npm', args, {
      cwd: fileURLToPath(FOLDER),
      stdio: ['ignore', 'ignore', 'inherit'],
      // npm is a script on Windows, which only a shell starts.
      shell: process.platform === 'win32',
    });
    child.on('error', (error) => resolve(`npm cannot be started: ${error.message}`));
    child.on('close', (code) =>
      resolve(code === 0 ? null : `npm ${args.join(' ')} ended with exit code ${code}`),
    );
  });
}
