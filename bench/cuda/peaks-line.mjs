/** What was measured, in words. `wgmma` is there on compute capability 9.0 alone. */
export function peaksLine({ integerProducts, wgmmaProducts, floatProducts, bytes }) {
  const rates = [
    ['int8 mma.sync', integerProducts],
    ['int8 wgmma', wgmmaProducts],
    ['float32', floatProducts],
  ].filter(([, products]) => products !== undefined);
  const parts = rates.map(([what, products]) => `${what} ${(products / 1e12).toFixed(1)} TMAC/s`);
  return [...parts, `memory ${(bytes / 1e12).toFixed(2)} TB/s`].join(', ');
}
