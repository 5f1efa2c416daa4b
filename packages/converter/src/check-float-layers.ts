import { FileFormatError } from '@dsconv/models';
import { FROZEN_CLASSES, TRAINED_CLASSES } from './layers/runtime/names.js';
import type { LayersModelFile } from './layers-model.js';

/** @throws FileFormatError naming a layer that holds integers: it is no part of a float network */
export function checkFloatLayers(layers: LayersModelFile['layers'], source: string): void {
  const frozen: readonly string[] = Object.values(FROZEN_CLASSES);
  for (const [name, { className }] of layers) {
    if (frozen.includes(className)) {
      throw new FileFormatError(
        source,
        `layer '${name}' (${className}) is quantized already; expected a float network`,
      );
    }
    if (TRAINED_CLASSES.includes(className)) {
      throw new FileFormatError(
        source,
        `layer '${name}' (${className}) has learned the integers of its filter; expected a float network, while \`dsconv convert\` and convertModel freeze such a model as it is`,
      );
    }
  }
}
