/** The two workers, started when they are first needed. */
import type { RunnerApi, StudioApi } from '../workers/api.js';
import { Remote } from '../workers/channel.js';

export const runner = new Remote<RunnerApi>(
  new Worker(new URL('../workers/runner.worker.ts', import.meta.url), { type: 'module', name: 'runner' }),
);

let started: Remote<StudioApi> | null = null;

/** Not before the first answer, which it would slow down. */
export function studio(): Remote<StudioApi> {
  started ??= new Remote<StudioApi>(
    new Worker(new URL('../workers/studio.worker.ts', import.meta.url), { type: 'module', name: 'studio' }),
  );
  return started;
}
