/** Runs the command line as a user would, in a process of its own, and reads its JSON. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const DSCONV = fileURLToPath(new URL('../apps/cli/bin/dsconv.js', import.meta.url));

/**
 * @param {string[]} args without `--json`
 * @param {Record<string, string>} [env]
 * @returns {Promise<any>} what the command printed
 */
export function dsconv(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [DSCONV, ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output));
      else reject(new Error(`dsconv ${args.join(' ')} ended with exit code ${code}: ${output}`));
    });
  });
}
