/** What a single convolution is measured on: random numbers, the same for every engine. */

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {boolean} depthwise
 * @property {import('@dsconv/core').ConvGeometry} geometry of one picture
 * @property {[number, number, number, number]} filter HWIO, or `[kh, kw, channels, multiplier]`
 * @property {number} bits of the quantized filter
 * @property {number} blockSize
 * @property {number} macs
 * @property {number} count how often the network has it
 */

/** Numbers in [-1, 1). */
export function randomNumbers(length, seed) {
  const values = new Float32Array(length);
  let state = seed;
  for (let n = 0; n < length; n++) {
    // The generator of Numerical Recipes, as for pictures.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[n] = state / 2 ** 31 - 1;
  }
  return values;
}

/** @param {Layer} layer */
export function layerNumbers({ geometry: g, filter }) {
  return {
    x: randomNumbers(g.inHeight * g.inWidth * g.inChannels, 1),
    weights: randomNumbers(
      filter.reduce((a, b) => a * b, 1),
      2,
    ),
    bias: randomNumbers(g.outChannels, 3),
  };
}

/** Paddings by side, as the operators of TensorFlow.js take them for NHWC. */
export const paddings = (g) => [
  [0, 0],
  [g.padTop, g.padBottom],
  [g.padLeft, g.padRight],
  [0, 0],
];
