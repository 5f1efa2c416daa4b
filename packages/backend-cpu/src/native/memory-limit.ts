/** Share of the memory that arrays of tensors which are gone may hold for those to come. A step of training frees all that its activations took. */
const SHARE = 1 / 4;

/** Bytes that may be kept free, of what the machine or its container has. */
export async function bytesToKeep(): Promise<number> {
  const os = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:os');
  // 0 or nothing where there is no limit, or where Node is older than 20.
  const constrained = process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return SHARE * Math.min(os.totalmem(), constrained);
}
