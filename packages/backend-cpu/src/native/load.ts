/** Finds and loads the addon: a build on this machine, else a prebuilt binary. */
import type { DSConvNative, Isa } from '../../native/interface.js';
import { threadsWithin } from './cpu-limit.js';

/** Number of the interface this code was written against. */
const INTERFACE_VERSION = 1;

let loaded: Promise<DSConvNative> | null = null;
let remark: string | null = null;

/** One sentence on instruction sets that were left out because they computed wrong, or null. Known once the addon is loaded. */
export function nativeRemark(): string | null {
  return remark;
}

/**
 * Loads the addon once, holds it against its known answers and sizes its pool of threads.
 *
 * @throws Error with one sentence on why there is none
 */
export function loadNative(): Promise<DSConvNative> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<DSConvNative> {
  if (typeof process === 'undefined' || !process.versions?.node) {
    throw new Error('native addons need Node, and this is a browser');
  }
  const { createRequire } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:module');
  const { fileURLToPath } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:url');
  const require = createRequire(import.meta.url);
  let native: DSConvNative;
  try {
    const build = require('node-gyp-build') as (folder: string) => DSConvNative;
    native = build(fileURLToPath(new URL('../../native', import.meta.url)));
  } catch (error) {
    const why = await buildError(error);
    throw new Error(
      `the addon was not built when the package was installed and no prebuilt one fits (${why}); with a C++ compiler, 'npm rebuild @dsconv/backend-cpu' builds it`,
    );
  }
  if (native.interfaceVersion !== INTERFACE_VERSION) {
    throw new Error(
      `the addon has interface ${native.interfaceVersion}; expected ${INTERFACE_VERSION}, as 'npm rebuild @dsconv/backend-cpu' gives`,
    );
  }
  remark = chooseIsa(native, process.env.DSCONV_CPU_ISA);
  native.setThreads(await availableThreads());
  return native;
}

/**
 * Leaves the addon with the best instruction set whose kernels give the known answers.
 *
 * @param forced the only one allowed, where there is one
 * @returns one sentence on better sets that were left out, or null
 * @throws Error when none is left, or the forced one is not here
 */
export function chooseIsa(native: DSConvNative, forced?: string): string | null {
  if (forced && !native.isas.includes(forced as Isa)) {
    throw new Error(
      `DSCONV_CPU_ISA is '${forced}', which this machine or build lacks; expected one of ${native.isas.join(', ')}`,
    );
  }
  const wrong: string[] = [];
  // From the set in use downwards: it is the process's, and another thread may have passed over better ones already.
  const candidates = forced ? [forced as Isa] : native.isas.slice(native.isas.indexOf(native.isa));
  for (const isa of candidates) {
    if (native.isa !== isa) native.setIsa(isa);
    const finding = native.selfTest();
    if (finding === null) return wrong.length > 0 ? `passed over ${wrong.join('; ')}` : null;
    wrong.push(`${isa}: ${finding}`);
  }
  throw new Error(`the addon's self-test failed with every instruction set (${wrong.join('; ')})`);
}

/** What the build said when the package was installed, else what the loader says. */
async function buildError(error: unknown): Promise<string> {
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:fs/promises');
  const file = new URL('../../native/build-error.txt', import.meta.url);
  const text = await readFile(file, 'utf8').catch(() =>
    error instanceof Error ? error.message : String(error),
  );
  return text.split('\n')[0]!;
}

/** Threads that this Node process may use. */
export async function availableThreads(): Promise<number> {
  const os = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:os');
  const { join } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:path');
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:fs/promises');
  const read = (path: string) => readFile(path, 'utf8').catch(() => null);
  return threadsWithin(os.availableParallelism(), { root: '/', read, join });
}
