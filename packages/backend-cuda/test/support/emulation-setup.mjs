/** Writes what is generated from the kernels before any test reads it. */
export default async function setup() {
  await import('../../kernels/params.mjs');
}
