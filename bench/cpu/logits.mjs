/** Whether an engine computed the network it claims to have computed. */
import { tensor4d } from '@tensorflow/tfjs-core';
import { useTfjsWasm } from './engines/tfjs.mjs';
import { CHANNELS, randomPictures, SIZE } from './input.mjs';
import { readNetworkFrom } from './networks.mjs';

/** Largest error of a float32 engine, relative to the largest logit: other orders of summation, no other arithmetic. */
const FLOAT_LIMIT = 1e-3;
/** Cosine of an angle that quantized weights stay below and another network does not. */
const COSINE_LIMIT = 0.7;

/** Logits of the float zoo network for the first picture. */
export async function referenceLogits(file) {
  await useTfjsWasm();
  const network = await readNetworkFrom(file);
  const x = tensor4d(randomPictures(1), [1, SIZE, SIZE, CHANNELS]);
  const logits = network.logits(x);
  const values = await logits.data();
  for (const used of [logits, x, network]) used.dispose();
  return values;
}

/**
 * @returns {{ relativeError: number, cosine: number }} against the float zoo network
 * @throws Error when the engine ran another network
 */
export function compareLogits(logits, reference, { bits }) {
  if (logits.length !== reference.length) {
    throw new Error(`it gave ${logits.length} logits; expected ${reference.length}`);
  }
  let [difference, largest, dot, a, b] = [0, 0, 0, 0, 0];
  logits.forEach((value, n) => {
    difference = Math.max(difference, Math.abs(value - reference[n]));
    largest = Math.max(largest, Math.abs(reference[n]));
    dot += value * reference[n];
    a += value ** 2;
    b += reference[n] ** 2;
  });
  const relativeError = difference / largest;
  const cosine = dot / Math.sqrt(a * b);
  // Written so that NaN fails.
  if (!(cosine > COSINE_LIMIT) || (bits === 32 && !(relativeError < FLOAT_LIMIT))) {
    throw new Error(
      `its logits are not the network's: relative error ${relativeError.toExponential(1)}, cosine ${cosine.toFixed(3)}`,
    );
  }
  return { relativeError: Number(relativeError.toPrecision(3)), cosine: Number(cosine.toFixed(4)) };
}
