/** How many times faster ours are than what else runs on the same adapter, measured in turns. */

const PEERS = {
  ThanTfjs: 'tfjs-webgpu',
  ThanOrt: 'ort-webgpu',
  ThanOrtFloat16: 'ort-webgpu-float16',
};
/** By the clock; and on the processors, which a software adapter computes on and a busy machine does not falsify. */
const MEASURES = { timesFaster: 'medianMs', timesLessProcessor: 'processorMs' };

/**
 * @param {object[]} cases
 * @returns {object[]} one entry per measured case of ours; null where the peer was not measured, or not in that way
 */
export function ratiosOf(cases) {
  return cases
    .filter(({ engine, medianMs }) => engine.startsWith('dsconv') && medianMs !== null)
    .map((ours) => {
      const { runtime, network, batch, engine, bits, blockSize } = ours;
      const ratios = Object.entries(MEASURES).flatMap(([measure, field]) =>
        Object.entries(PEERS).map(([than, peer]) => {
          const found = cases.find((c) => c.engine === peer && isSameCase(c, ours));
          const known = found?.[field] && ours[field];
          return [`${measure}${than}`, known ? Number((found[field] / ours[field]).toPrecision(4)) : null];
        }),
      );
      return { runtime, network, batch, engine, bits, blockSize, ...Object.fromEntries(ratios) };
    });
}

const isSameCase = (a, b) => a.runtime === b.runtime && a.network === b.network && a.batch === b.batch;
