/** Ratios between engines of one case, which were measured in turns: what can be trusted on a machine that others share. */

const OURS = ['dsconv-native-plan', 'dsconv-native-eager', 'dsconv-wasm'];

/**
 * @param {object[]} cases as `measureCase` gives them
 * @returns {object[]} one entry per case of our engines: shares of a peer's time (below 1 is faster), and how many times faster than a slow peer;
 *   null where the peer was not measured
 */
export function ratiosOf(cases) {
  return cases
    .filter(({ engine, medianMs }) => OURS.includes(engine) && medianMs !== null)
    .map((ours) => {
      const { network, batch, threads, engine, bits, blockSize } = ours;
      const time = (name) => find(cases, { network, batch, threads, engine: name })?.medianMs ?? null;
      const alone = threads > 1 ? find(cases, { ...ours, threads: 1 })?.medianMs : null;
      const shareOf = (peer) => (peer === null ? null : round(ours.medianMs / peer));
      const timesFasterThan = (peer) => (peer === null ? null : round(peer / ours.medianMs));
      return {
        ...{ network, batch, threads, engine, bits, blockSize },
        shareOfOrtInt8: shareOf(time('ort-int8')),
        shareOfOrtFloat32: shareOf(time('ort-float32')),
        timesFasterThanTfjsWasm: timesFasterThan(time('tfjs-wasm')),
        timesFasterThanTfjsCpu: timesFasterThan(time('tfjs-cpu')),
        timesFasterThanOneThread: alone ? timesFasterThan(alone) : null,
      };
    });
}

function find(cases, { network, batch, threads, engine, blockSize }) {
  return cases.find(
    (c) =>
      c.network === network &&
      c.batch === batch &&
      c.threads === threads &&
      c.engine === engine &&
      (blockSize === undefined || c.blockSize === blockSize),
  );
}

const round = (ratio) => Number(ratio.toPrecision(4));
