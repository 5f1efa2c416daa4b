import { engine, getBackend, registerBackend, removeBackend, setBackend } from '@tensorflow/tfjs-core';
import { getDSConvBackend, listDSConvBackends } from './contract.js';
import { BackendUnavailableError } from './errors.js';

/** What {@link selectBackend} found. */
export interface BackendSelection {
  /** Name of the TensorFlow.js backend that is now current. */
  name: string;
  /** Tier in use inside that backend. */
  tier: string | null;
  /** The backends that were tried before it, each with the reason why it was not taken. */
  declined: { name: string; reason: string }[];
}

/**
 * Tries backends in order and makes the first that works the current TensorFlow.js backend. Creating a backend includes its known-answer
 * test, so one that computes something wrong is declined like one that is missing.
 *
 * @param names in order of preference; default all registered ones
 * @throws BackendUnavailableError listing every reason when none works; the current backend stays what it was
 */
export async function selectBackend(
  names: readonly string[] = listDSConvBackends(),
): Promise<BackendSelection> {
  const declined: BackendSelection['declined'] = [];
  const before = currentBackend();
  for (const name of names) {
    const reason = await tryBackend(name);
    if (reason === null) {
      return { name, tier: getDSConvBackend(name)?.activeTier() ?? null, declined };
    }
    declined.push({ name, reason });
  }
  if (before) await setBackend(before);
  const reasons = declined.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  throw new BackendUnavailableError(
    names.length === 0
      ? 'no DSConv backend is registered; expected an import of a backend package such as @dsconv/backend-cpu'
      : `none of the backends can run here: ${reasons}`,
  );
}

/** Null when the backend is current now, else the reason why not. */
async function tryBackend(name: string): Promise<string | null> {
  const backend = getDSConvBackend(name);
  if (!backend) return 'no package that registers it was imported';
  const support = await backend.probe();
  if (support !== true) return support.reason;
  // TensorFlow.js catches what a factory throws, prints it and keeps it to itself; so the factory is called here.
  const { registry, registryFactory } = engine();
  const registered = registryFactory[name];
  if (!registered) return 'its package registered no TensorFlow.js backend of that name';
  try {
    registry[name] ??= await registered.factory();
    if (await setBackend(name)) return null;
    return 'TensorFlow.js could not create it';
  } catch (error) {
    // A backend that failed half-way must not be found by the next setBackend, but may be tried again from the start.
    removeBackend(name);
    registerBackend(name, registered.factory, registered.priority);
    return error instanceof Error ? error.message : String(error);
  }
}

function currentBackend(): string | undefined {
  try {
    return getBackend();
  } catch {
    return undefined;
  }
}
