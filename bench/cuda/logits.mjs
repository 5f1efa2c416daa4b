/** Whether the GPU computed the network that it was given. */
import '@dsconv/backend-cpu';
import { getBackend, setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../cpu/input.mjs';

/**
 * Two backends that both keep to NUMERICS differ by what a last bit moves: now and then an activation rounds to the next step of its grid. Networks with random weights
 * spread that further than trained ones.
 */
const COSINE_LIMIT = 0.999;

/** Logits of the very quantized network for the first picture, on the CPU. */
export async function logitsOfCpu(network) {
  const before = getBackend();
  await setBackend('dsconv-cpu');
  const x = tensor4d(randomPictures(1), [1, SIZE, SIZE, CHANNELS]);
  const logits = network.logits(x);
  const values = (await logits.data()).slice();
  for (const used of [logits, x]) used.dispose();
  await setBackend(before);
  return values;
}

/** @throws Error when they are not the same network's */
export function checkLogits(logits, reference) {
  let [dot, a, b] = [0, 0, 0];
  logits.forEach((value, n) => {
    dot += value * reference[n];
    a += value ** 2;
    b += reference[n] ** 2;
  });
  const cosine = dot / Math.sqrt(a * b);
  // Written so that NaN fails.
  if (!(cosine > COSINE_LIMIT)) {
    throw new Error(`the logits are not the network's: cosine with those of the CPU ${cosine.toFixed(4)}`);
  }
  return { cosine: Number(cosine.toFixed(6)) };
}
