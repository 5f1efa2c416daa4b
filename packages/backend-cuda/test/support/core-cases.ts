/**
 * TensorFlow.js's own test cases, out of its npm package: they are written for Jasmine and in modules that Node cannot load, so they are put together to one file and find
 * here what they import and what Jasmine would give them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { build, type Plugin, type Rolldown } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

/** Folder of the compiled modules of tfjs-core, tests among them. */
const dist = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-core'));

/** For the file that is made; inside the package, so that what it imports is found. */
const folder = fileURLToPath(new URL('.', import.meta.url));

interface TestEnvironment {
  name: string;
  backendName: string;
  isDataSync: boolean;
}

/** For which environments cases are. */
interface Constraints {
  flags?: Record<string, unknown>;
  predicate?: (environment: TestEnvironment) => boolean;
}

export interface CoreCaseOptions {
  backendName: string;
  /** Before the first case of each group: makes the backend current. */
  prepare: () => Promise<unknown>;
  /** Reason for which a case, named `group: case`, is not run, or null. */
  skipped: (name: string) => string | null;
}

/** What a module of the tests is replaced by: modules that hold state must be those that the backend uses. */
const REPLACED: Record<string, string> = {
  index: `export * from '@tensorflow/tfjs-core';`,
  engine: `import { engine } from '@tensorflow/tfjs-core'; export const ENGINE = engine();`,
  environment: `export { env } from '@tensorflow/tfjs-core';`,
  jasmine_util: `export const { describeWithFlags, ALL_ENVS, SYNC_BACKEND_ENVS, NODE_ENVS, BROWSER_ENVS } = globalThis.coreCases;`,
};

/** Declares the cases of these test modules, such as `ops/abs_test`, as tests of the running file. */
export async function declareCoreCases(modules: readonly string[], options: CoreCaseOptions): Promise<void> {
  const environment = { name: options.backendName, backendName: options.backendName, isDataSync: true };
  const satisfied = ({ flags = {}, predicate }: Constraints): boolean =>
    Object.entries(flags).every(([flag, value]) => flagValue(flag) === value) &&
    (predicate === undefined || predicate(environment));

  const describeWithFlags = (
    group: string,
    constraints: Constraints,
    cases: (environment: TestEnvironment) => void,
  ): void => {
    if (!satisfied(constraints)) return;
    describe(group, () => {
      beforeAll(options.prepare);
      beforeEach(() => tf.engine().startScope());
      afterEach(() => {
        tf.engine().endScope();
        tf.disposeVariables();
      });
      Object.assign(globalThis, { it: caseOf(group, options.skipped) });
      // What is made while declaring is not there when the cases run; Jasmine's runner resets the engine.
      tf.engine().startScope();
      cases(environment);
      tf.engine().endScope();
    });
  };

  expect.extend({ nothing: () => ({ pass: true, message: () => 'unreachable' }) });
  Object.assign(globalThis, {
    ...{ describe, it, expect, beforeAll, beforeEach, afterAll, afterEach },
    // Some cases ask for more time; vitest's own limit is longer.
    jasmine: { DEFAULT_TIMEOUT_INTERVAL: 0 },
    coreCases: {
      describeWithFlags,
      ALL_ENVS: {},
      SYNC_BACKEND_ENVS: { predicate: (each: TestEnvironment) => each.isDataSync },
      NODE_ENVS: {},
      BROWSER_ENVS: { predicate: () => false },
    },
  });
  const made = mkdtempSync(join(folder, 'core-cases-'));
  try {
    const file = join(made, 'cases.mjs');
    writeFileSync(file, await bundle(modules));
    await import(/* @vite-ignore */ pathToFileURL(file).href);
  } finally {
    rmSync(made, { recursive: true });
  }
}

/** Vitest's `it` for Jasmine's: a case that takes `done` is done when it calls it. */
function caseOf(group: string, skipped: CoreCaseOptions['skipped']) {
  return (name: string, body: (() => unknown) | ((done: () => void) => void)): void => {
    const reason = skipped(`${group}: ${name}`);
    it(name, async (context) => {
      if (reason !== null) context.skip(reason);
      if (body.length === 0) await (body as () => unknown)();
      else await new Promise<void>((resolve) => body(resolve));
    });
  };
}

/** A flag that nobody has registered has no value. */
function flagValue(flag: string): unknown {
  try {
    return tf.env().get(flag);
  } catch {
    return undefined;
  }
}

async function bundle(modules: readonly string[]): Promise<string> {
  const entry = '\0entry';
  const plugin: Plugin = {
    name: 'core-cases',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source === entry) return entry;
      if (!source.startsWith('.') || !importer) return null;
      const path = join(importer === entry ? dist : dirname(importer), source);
      const replaced = path === dist ? 'index' : path.slice(dist.length + 1);
      return REPLACED[replaced] === undefined ? `${path}.js` : `\0${replaced}`;
    },
    load(id) {
      if (id === entry) return modules.map((name) => `import './${name}';`).join('\n');
      return REPLACED[id.slice(1)] ?? null;
    },
  };
  const built = await build({
    configFile: false,
    root: folder,
    logLevel: 'silent',
    plugins: [plugin],
    build: {
      ssr: true,
      write: false,
      minify: false,
      rolldownOptions: { input: entry, external: ['@tensorflow/tfjs-core'] },
    },
  });
  const [{ output }] = [built].flat() as [Rolldown.RolldownOutput];
  return output[0].code;
}
