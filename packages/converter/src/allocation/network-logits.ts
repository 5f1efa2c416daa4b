/** A network's answers to pictures that are read when they are needed. */
import type { Network } from '@dsconv/models';
import { tidy } from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import { readBatch } from './read-batch.js';

/** Pictures that are run at a time. */
const BATCH = 8;

/** Logits of all pictures, `[pictures, classes]`. The event loop gets a turn between batches. */
export async function logitsOf(network: Network, pictures: CalibrationPictures): Promise<Float32Array> {
  const { classes } = network.architecture;
  const all = new Float32Array(pictures.count * classes);
  for (let first = 0; first < pictures.count; first += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, pictures.count - first) }, (_, n) => first + n);
    const x = await readBatch(network, pictures, indices);
    const y = tidy(() => network.logits(x));
    all.set((await y.data()) as Float32Array, first * classes);
    x.dispose();
    y.dispose();
  }
  return all;
}
