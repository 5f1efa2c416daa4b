/** `10 log10(Σw² / Σ(w-ŵ)²)` in dB; null where nothing was lost, which no number expresses in JSON. */
export function signalToNoise(exact: Float32Array, approximate: Float32Array): number | null {
  let signal = 0;
  let noise = 0;
  for (let n = 0; n < exact.length; n++) {
    signal += exact[n]! ** 2;
    noise += (exact[n]! - approximate[n]!) ** 2;
  }
  return noise === 0 ? null : 10 * Math.log10(signal / noise);
}
