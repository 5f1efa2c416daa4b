/**
 * Before any test: writes what is generated from the kernels, and builds the stand-in for NVIDIA's driver, which every process of the tests then opens. A kernel
 * that does not compile stops everything in CI; elsewhere it is left out, said loudly, and missing where it is asked for.
 */
import { buildEmulation, emulationMissing } from '../../emulation/build.mjs';

export default async function setup() {
  await import('../../kernels/params.mjs');
  if (process.env.DSCONV_CUDA_DRIVER) return;
  const missing = emulationMissing();
  if (missing) {
    // Nothing is opened then, rather than a real device by accident.
    process.env.DSCONV_CUDA_DRIVER = '/nonexistent';
    process.env.DSCONV_EMULATION_MISSING = missing;
    console.warn(`@dsconv/backend-cuda is tested without its emulation: ${missing}`);
    return;
  }
  const { library, failures } = await buildEmulation({ keepGoing: !process.env.CI });
  for (const { file, text } of failures) console.error(`${file} does not compile and is left out:\n${text}`);
  process.env.DSCONV_CUDA_DRIVER = library;
}
