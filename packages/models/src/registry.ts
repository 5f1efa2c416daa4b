/** Looking up the zoo, by id `architecture.tag` or by architecture. */
import type { ArchitectureConfig } from './architecture.js';
import { UnknownModelError } from './errors.js';
import { suggest } from './suggest.js';
import { ENTRIES } from './zoo/entries.js';
import type { ModelEntry } from './zoo/model-entry.js';

const BY_ID = new Map(ENTRIES.map((entry) => [entry.id, entry]));

/** All entries; those shipped in the package first. */
export function listModels(): readonly ModelEntry[] {
  return ENTRIES;
}

/** @throws UnknownModelError suggesting the nearest ids */
export function getModel(id: string): ModelEntry {
  const entry = BY_ID.get(id);
  if (entry) return entry;
  throw new UnknownModelError(`model '${id}' is not known; expected ${suggest(id, BY_ID.keys())}`);
}

/** The first entry of an architecture with these sizes, whose preprocessing and labels a file without its own may take. */
export function findModel(config: Required<ArchitectureConfig>): ModelEntry | undefined {
  return ENTRIES.find(({ architecture: { name, channels, classes } }) => {
    return name === config.name && channels === config.channels && classes === config.classes;
  });
}
