/**
 * One measurement in a fresh process, so that nothing else is resident and no other thread pool lives: `runProbe('memory', { file })` calls the default
 * function of probes/memory.mjs there.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SELF = fileURLToPath(import.meta.url);

/**
 * @param {string} name of a module in probes/
 * @param {object} parameters
 * @param {string[]} [flags] of Node
 * @returns {Promise<object>} what the probe returns
 * @throws Error with the probe's message
 */
export function runProbe(name, parameters, flags = []) {
  return new Promise((resolve, reject) => {
    const child = fork(SELF, [name, JSON.stringify(parameters)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: ['--expose-gc', ...flags],
    });
    let answer = null;
    child.on('message', (message) => {
      answer = message;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (answer?.error !== undefined) reject(new Error(answer.error));
      else if (answer) resolve(answer.result);
      else reject(new Error(`probe ${name} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

async function main([name, parameters]) {
  try {
    const { default: measure } = await import(`./probes/${name}.mjs`);
    process.send({ result: await measure(JSON.parse(parameters)) });
  } catch (error) {
    process.send({ error: error instanceof Error ? error.message.split('\n')[0] : String(error) });
  }
  process.disconnect();
}

// Not awaited: probes import what imports this module, which would wait for each other.
if (process.argv[1] === SELF) main(process.argv.slice(2));
