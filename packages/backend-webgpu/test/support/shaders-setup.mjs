/** Runs before the tests: they compile the shaders as the .wgsl files are now, not as they were when the package was built. */
export async function setup() {
  await import('../../shaders.mjs');
}
