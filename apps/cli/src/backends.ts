/** Choosing the backend, and making TensorFlow.js quiet. Importing this module makes the backends known. */
import '@dsconv/backend-cpu';
import {
  type BackendSelection,
  BackendUnavailableError,
  getDSConvBackend,
  listDSConvBackends,
  selectBackend,
} from '@dsconv/core';
import { enableProdMode } from '@tensorflow/tfjs-core';
import { CUDA, provideCuda } from './cuda.js';
import type { Io } from './io.js';
import type { CommonOptions } from './options.js';

/** Keeps TensorFlow.js's advertisements for other packages off the terminal. */
export function quietTensorFlow(): void {
  enableProdMode();
}

/** Backends that packages registered, in order of preference; without the ones pinned to a tier later. */
export const BACKENDS: readonly string[] = listDSConvBackends();

/**
 * Makes the backend of `--backend` current, which may be one whose package is not a dependency, or the first that works; with `--verbose` it says which and why not the others.
 *
 * @throws BackendUnavailableError with the reason
 */
export async function useBackend(options: CommonOptions, io: Io): Promise<BackendSelection> {
  quietTensorFlow();
  if (options.backend?.split('/')[0] === CUDA) {
    const missing = await provideCuda();
    if (missing) throw new BackendUnavailableError(`backend '${CUDA}' is not available: ${missing}`);
  }
  const selection = await selectBackend(
    options.backend === undefined ? BACKENDS : [resolve(options.backend)],
  );
  if (options.verbose) {
    for (const { name, reason } of selection.declined)
      io.stderr.write(`backend ${name} not taken: ${reason}\n`);
    io.stderr.write(`backend ${selection.name}${selection.tier ? `, tier ${selection.tier}` : ''}\n`);
  }
  return selection;
}

/** `NAME` or `NAME/TIER`, such as `dsconv-cpu/wasm-simd`. */
function resolve(wanted: string): string {
  const [name, ...rest] = wanted.split('/');
  const tier = rest.join('/');
  if (!BACKENDS.includes(name!) && name !== CUDA) {
    throw new BackendUnavailableError(
      `backend '${wanted}' is not known; expected one of ${[...BACKENDS, CUDA].join(', ')}`,
    );
  }
  if (tier === '') return name!;
  const backend = getDSConvBackend(name!)!;
  if (!backend.pinTier) throw new BackendUnavailableError(`backend '${name}' has no tiers to choose from`);
  return backend.pinTier(tier);
}
