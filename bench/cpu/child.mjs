/** The parent's end of a process such as worker.mjs. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const WORKER = new URL('worker.mjs', import.meta.url);

export class Child {
  #process = null;
  #worker;
  #settings;

  /**
   * @param {object} [options]
   * @param {Record<string, string>} [options.env] added to this process's
   * @param {string[]} [options.execArgv] Node's own options
   * @param {URL} [options.worker] its module
   */
  constructor({ env = {}, execArgv = [], worker = WORKER } = {}) {
    this.#worker = fileURLToPath(worker);
    this.#settings = {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, ...env },
      execArgv: [...process.execArgv, ...execArgv],
    };
  }

  /** @throws Error with the worker's message, or when it ends before it answers */
  ask(command, parameters = {}) {
    this.#process ??= fork(this.#worker, this.#settings);
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const finish = () => {
        child.off('message', onMessage);
        child.off('exit', onExit);
      };
      const onMessage = ({ result, error }) => {
        finish();
        if (error === undefined) resolve(result);
        else reject(new Error(error));
      };
      const onExit = (code, signal) => {
        finish();
        this.#process = null;
        reject(new Error(`its process ended with ${signal ?? `exit code ${code}`}`));
      };
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send({ command, ...parameters });
    });
  }

  stop() {
    if (this.#process?.connected) this.#process.disconnect();
    this.#process = null;
  }
}
