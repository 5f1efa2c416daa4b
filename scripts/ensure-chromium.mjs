/** Chromium for the browser tests: DSCONV_CHROMIUM, an installed one, or Debian's package where it can be installed. */
import { existsSync } from 'node:fs';
import { run } from './steps.mjs';

/** Where packages put it. */
export const CHROMIUM_CANDIDATES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** @returns {Promise<{ path: string | null, reason: string }>} */
export async function ensureChromium() {
  const given = process.env.DSCONV_CHROMIUM;
  if (given)
    return existsSync(given) ? found(given) : missing(`DSCONV_CHROMIUM is '${given}', which does not exist`);
  const installed = CHROMIUM_CANDIDATES.find((path) => existsSync(path));
  if (installed) return found(installed);
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    return missing('no Chromium is installed; set DSCONV_CHROMIUM to its path');
  }
  console.log("\n=== installing Debian's chromium");
  await run('apt-get', ['update', '-qq']);
  const code = await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
    DEBIAN_FRONTEND: 'noninteractive',
  });
  const path = CHROMIUM_CANDIDATES.find((candidate) => existsSync(candidate));
  return path ? found(path) : missing(`apt-get install chromium ended with exit code ${code}`);
}

const found = (path) => ({ path, reason: '' });
const missing = (reason) => ({ path: null, reason });
