/** Finds and loads the addon, a build on this machine or else a prebuilt binary, and the image of kernels that a driver takes. */
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { BackendUnavailableError } from '@dsconv/core';
import type { DSConvCuda, ProbeResult } from '../../native/interface.js';

/** Number of the interface this code was written against. */
const INTERFACE_VERSION = 1;

/** The driver that came with the compiler which made the fatbin (CUDA 13.0); older ones translate the PTX. */
const FATBIN_DRIVER = 13000;

const packageFolder = new URL('../../', import.meta.url);

/** Where the addon's sources and binaries lie. */
export const addonFolder = fileURLToPath(new URL('native', packageFolder));

let loaded: DSConvCuda | null = null;

/**
 * Loads the addon, once. Loading opens no driver.
 *
 * @throws BackendUnavailableError with one sentence on why there is none
 */
export function loadAddon(): DSConvCuda {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  let addon: DSConvCuda;
  try {
    addon = (require('node-gyp-build') as (folder: string) => DSConvCuda)(addonFolder);
  } catch (error) {
    throw new BackendUnavailableError(
      `the CUDA addon was not built when the package was installed and no prebuilt one fits (${buildError(error)}); with a C++ compiler, 'npm rebuild @dsconv/backend-cuda' builds it`,
    );
  }
  if (addon.interfaceVersion !== INTERFACE_VERSION) {
    throw new BackendUnavailableError(
      `the CUDA addon has interface ${addon.interfaceVersion}; expected ${INTERFACE_VERSION}, as 'npm rebuild @dsconv/backend-cuda' gives`,
    );
  }
  loaded = addon;
  return addon;
}

/** What the build said when the package was installed, else what the loader says. */
function buildError(error: unknown): string {
  const file = new URL('native/build-error.txt', packageFolder);
  if (existsSync(file)) return readFileSync(file, 'utf8').split('\n')[0]!;
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

/**
 * The kernels for `loadModule`: the fatbin where the driver knows its format, else PTX, which the driver compiles (seconds, once; it keeps the result).
 *
 * @throws BackendUnavailableError when the package was built without them
 */
export async function loadKernels(
  driver: Pick<ProbeResult, 'driverVersion' | 'emulated'>,
): Promise<Uint8Array> {
  // The emulation has the kernels inside.
  if (driver.emulated) return new TextEncoder().encode('emulated');
  const name = driver.driverVersion >= FATBIN_DRIVER ? 'kernels.fatbin.br' : 'kernels.ptx.br';
  try {
    return await promisify(brotliDecompress)(await readFile(new URL(`kernels/build/${name}`, packageFolder)));
  } catch (error) {
    throw new BackendUnavailableError(
      `the package @dsconv/backend-cuda was built without its kernels: ${name} cannot be read (${error instanceof Error ? error.message : error}); 'npm run build' makes them where nvcc is installed`,
    );
  }
}
