/** Outside of bundlers only the package @tensorflow/tfjs brings TensorFlow.js's gradients. It is large, so that it is loaded for training only. */

/** Makes gradients known, without the advertisement that comes with them. */
export async function loadGradients(): Promise<void> {
  const { warn } = console;
  console.warn = () => {};
  try {
    await import('@tensorflow/tfjs');
  } finally {
    console.warn = warn;
  }
}
