/** What the driver has, asked in a child process first: a broken driver crashes or hangs there, and not here. */
import { execFile } from 'node:child_process';
import { BackendUnavailableError } from '@dsconv/core';
import type { ProbeResult } from '../../native/interface.js';
import { addonFolder, loadAddon } from './load.js';

const TIMEOUT_MS = 10_000;

/** Answers one line of JSON: what probe gives, or the sentence of its error. */
const CHILD = `
  const [buildPath, folder] = process.argv.slice(1);
  try {
    console.log(JSON.stringify({ found: require(buildPath)(folder).probe() }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, code: error.code }));
  }
`;

/** By path of the driver: a process that changes DSCONV_CUDA_DRIVER asks again. */
const answers = new Map<string, Promise<ProbeResult>>();

/**
 * The driver's version and devices. Asked once in a process; a failure is remembered too.
 *
 * @throws BackendUnavailableError with one sentence: no addon, no driver, one too old, crashed or silent, no device, none of compute capability 7.5
 */
export function probe(): Promise<ProbeResult> {
  const key = process.env.DSCONV_CUDA_DRIVER ?? '';
  let answer = answers.get(key);
  if (!answer) {
    answer = probeInChild(TIMEOUT_MS);
    answers.set(key, answer);
  }
  return answer;
}

/** The same without memory. @param timeoutMs after which the driver counts as hanging */
export async function probeInChild(timeoutMs: number): Promise<ProbeResult> {
  // Where the addon is missing, that is the better sentence.
  loadAddon();
  const { createRequire } = await import('node:module');
  const buildPath = createRequire(import.meta.url).resolve('node-gyp-build');
  const output = await ask([buildPath, addonFolder], timeoutMs);
  const answer = parse(output);
  if (answer.found === undefined) throw new BackendUnavailableError(answer.error);
  const { devices } = answer.found;
  if (!devices.some(({ supported }) => supported)) {
    const list = devices.map(
      ({ name, computeCapability }) => `${name} has compute capability ${computeCapability.join('.')}`,
    );
    throw new BackendUnavailableError(`${list.join(', ')}; expected 7.5 or newer`);
  }
  return answer.found;
}

type Answer = { found: ProbeResult } | { found?: undefined; error: string };

function parse(output: string): Answer {
  // Drivers and preloaded libraries may print too: the answer is the last line.
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(line) as Answer;
  } catch {
    throw new BackendUnavailableError(
      `the NVIDIA driver was asked in a child process, which answered '${line}'`,
    );
  }
}

function ask(args: string[], timeout: number): Promise<string> {
  const env: NodeJS.ProcessEnv = { ...process.env, ELECTRON_RUN_AS_NODE: '1' };
  // A debugger that waits for its user would count as hanging.
  if (env.NODE_OPTIONS) env.NODE_OPTIONS = env.NODE_OPTIONS.replaceAll(/--inspect\S*/g, '');
  return new Promise((resolve, reject) => {
    const options = { env, timeout, killSignal: 'SIGKILL' as const, windowsHide: true };
    execFile(process.execPath, ['-e', CHILD, '--', ...args], options, (error, stdout) => {
      if (!error) {
        resolve(stdout);
      } else if (error.killed) {
        reject(
          new BackendUnavailableError(
            `the NVIDIA driver did not answer within ${timeout / 1000} s in a child process`,
          ),
        );
      } else {
        const how = error.signal ? `ended by ${error.signal}` : `exit code ${error.code}`;
        reject(
          new BackendUnavailableError(
            `the NVIDIA driver crashed when it was started in a child process (${how})`,
          ),
        );
      }
    });
  });
}
