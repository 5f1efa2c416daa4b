import { writeFile } from 'node:fs/promises';
import { createArchitecture, getModel, Network, randomParameters, writeNetwork } from '@dsconv/models';

/**
 * A float network with random weights of a seed, for figures that need its shapes but no training.
 *
 * @param {string} id of the registry, such as 'resnet50.tv_in1k'
 */
export function randomNetwork(id, seed = 1) {
  const entry = getModel(id);
  const architecture = createArchitecture(entry.architecture);
  return new Network({
    architecture,
    weights: randomParameters(architecture, seed),
    preprocessing: entry.preprocessing,
    labels: entry.labels,
    metadata: { source: `random weights, seed ${seed}` },
  });
}

/** Writes one to a file. */
export async function writeRandomNetwork(id, path, seed = 1) {
  await writeFile(path, writeNetwork(randomNetwork(id, seed)));
}
