/** Serves the built page to the tests: with the headers that isolate it, and as any static host would. */
import { existsSync } from 'node:fs';
import { preview } from 'vite';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Address of the page, on a host that isolates it. */
    webUrl: string;
    /** The same from a host that sends no headers of its own. */
    plainUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = new URL('../../../', import.meta.url);
  if (!existsSync(new URL('dist/index.html', root))) {
    throw new Error("apps/web/dist has no index.html; expected 'npm run build' before these tests");
  }
  const options = { root: root.pathname, logLevel: 'error' as const };
  const address = { port: 0, strictPort: false, host: '127.0.0.1' };
  const server = await preview({ ...options, preview: address });
  const plain = await preview({ ...options, configFile: false, base: './', preview: address });
  project.provide('webUrl', server.resolvedUrls!.local[0]!);
  project.provide('plainUrl', plain.resolvedUrls!.local[0]!);
  return async () => {
    await Promise.all([server.close(), plain.close()]);
  };
}
