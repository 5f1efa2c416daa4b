/** Scores by which the best epoch is kept: of the integer network, as it will be shipped. */
import type { PictureSource, TrainableNetwork } from '@dsconv/layers';
import type { Network } from '@dsconv/models';
import { argMax, tensor4d, tidy } from '@tensorflow/tfjs-core';

const BATCH = 50;

/** Most probable class of every picture. */
export async function classesOf(network: Network, source: PictureSource): Promise<Int32Array> {
  const [height, width, channels] = source.shape;
  const length = height * width * channels;
  const found = new Int32Array(source.count);
  for (let from = 0; from < source.count; from += BATCH) {
    const count = Math.min(BATCH, source.count - from);
    const x = new Float32Array(count * length);
    for (let n = 0; n < count; n++) await source.read(from + n, x.subarray(n * length, (n + 1) * length));
    const classes = tidy(() =>
      argMax(network.logits(tensor4d(x, [count, height, width, channels])), 1).dataSync(),
    );
    found.set(classes as Int32Array, from);
    await new Promise(setImmediate);
  }
  return found;
}

/** Share of pictures whose class is the wanted one, for the network frozen as it is. */
export function agreementWith(
  source: PictureSource,
  wanted: (n: number) => number,
): (student: TrainableNetwork) => Promise<number> {
  return async (student) => {
    const network = await student.freeze();
    try {
      const found = await classesOf(network, source);
      return found.reduce((right, value, n) => right + (value === wanted(n) ? 1 : 0), 0) / source.count;
    } finally {
      network.dispose();
    }
  };
}
