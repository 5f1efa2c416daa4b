/** Random pictures: the same numbers in every process, and the first picture of a batch the same for every batch size. */

export const SIZE = 224;
export const CHANNELS = 3;
/** Logits of the networks here. */
export const CLASSES = 1000;

/** @returns {Float32Array} NHWC, uniform in [-2, 2), the range of pictures after preprocessing */
export function randomPictures(batch) {
  const values = new Float32Array(batch * SIZE * SIZE * CHANNELS);
  let state = 1;
  for (let n = 0; n < values.length; n++) {
    // The generator of Numerical Recipes; its upper bits are good enough for pixels.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[n] = state / 2 ** 30 - 2;
  }
  return values;
}

/** @returns {Float32Array} the same pictures as NCHW */
export function channelsFirst(pictures, batch) {
  const result = new Float32Array(pictures.length);
  const pixels = SIZE * SIZE;
  for (let n = 0; n < batch; n++) {
    const offset = n * pixels * CHANNELS;
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let c = 0; c < CHANNELS; c++) {
        result[offset + c * pixels + pixel] = pictures[offset + pixel * CHANNELS + c];
      }
    }
  }
  return result;
}
