/**
 * Where the time of a plan goes, by a model of what the layers have to do: integer products at the measured peak; for every block of products a conversion and a multiplication at the float
 * peak, which share their two ports with the products; what is left over is paid per output value, for scale, bias, residual, activation, the largest exponent, rounding and packing.
 */

/** Layers that read pictures have kernels of their own. */
const isFirst = ({ geometry }) => geometry.inChannels < 16;

/**
 * @param layers rows of the layer section: geometry, macs, count, microseconds
 * @param peaks GMAC/s of one core, int8Dot and floatFma
 * @param microsecondsByStep of the whole plan
 */
export function breakdown({ layers, peaks, blockSize, microsecondsByStep, totalMicroseconds }) {
  const sum = (rows, value) => rows.reduce((total, row) => total + row.count * value(row), 0);
  const first = layers.filter((row) => !row.depthwise && isFirst(row));
  const depthwise = layers.filter((row) => row.depthwise);
  const body = layers.filter((row) => !row.depthwise && !isFirst(row));
  const outputs = ({ geometry: g }) => g.outHeight * g.outWidth * g.outChannels;
  const blocks = ({ geometry: g }) =>
    g.kernelHeight * g.kernelWidth * Math.ceil(g.inChannels / g.groups / blockSize);
  // Giga of anything per second are so many per nanosecond.
  const products = sum(body, ({ macs }) => macs / peaks.int8Dot) / 1000;
  const scaling = sum(body, (row) => (2 * outputs(row) * blocks(row)) / peaks.floatFma) / 1000;
  const total = sum(body, ({ microseconds }) => microseconds);
  const convolutions = microsecondsByStep.convolution ?? 0;
  const parts = {
    products,
    blockScaling: scaling,
    finishing: total - products - scaling,
    firstLayer: sum(first, ({ microseconds }) => microseconds),
    depthwise: sum(depthwise, ({ microseconds }) => microseconds),
    other: totalMicroseconds - convolutions,
  };
  const written = sum(body, outputs);
  return { microseconds: parts, outputs: written, nanosecondsPerOutput: (1000 * parts.finishing) / written };
}

const NAMES = {
  products: 'integer products, at the peak',
  blockScaling: 'scaling of block sums, at the float peak',
  finishing: 'all that is done per output value, and whatever else',
  firstLayer: 'first convolution, with the max pool behind it',
  depthwise: 'depthwise convolutions',
  other: 'pools, means and the rest',
};

/** Rows of a Markdown table. */
export function breakdownRows({ microseconds, nanosecondsPerOutput }) {
  const total = Object.values(microseconds).reduce((a, b) => a + b, 0);
  return Object.entries(microseconds)
    .filter(([, value]) => value !== 0)
    .map(([part, value]) => [
      part === 'finishing' ? `${NAMES[part]} (${nanosecondsPerOutput.toFixed(3)} ns each)` : NAMES[part],
      value.toFixed(0),
      `${((100 * value) / total).toFixed(0)} %`,
    ]);
}
