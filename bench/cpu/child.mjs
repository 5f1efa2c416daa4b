/** The parent's end of worker.mjs. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));

export class Child {
  #process = null;
  #env;

  /** @param {Record<string, string>} [env] added to this process's */
  constructor(env = {}) {
    this.#env = env;
  }

  /** @throws Error with the worker's message, or when it ends before it answers */
  ask(command, parameters = {}) {
    this.#process ??= fork(WORKER, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, ...this.#env },
    });
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
