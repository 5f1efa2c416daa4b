/** Serves the built page to the tests, as any static host would. */
import { existsSync } from 'node:fs';
import { preview } from 'vite';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Address of the page. */
    webUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = new URL('../../../', import.meta.url);
  if (!existsSync(new URL('dist/index.html', root))) {
    throw new Error("apps/web/dist has no index.html; expected 'npm run build' before these tests");
  }
  const server = await preview({
    root: root.pathname,
    logLevel: 'error',
    preview: { port: 0, strictPort: false, host: '127.0.0.1' },
  });
  project.provide('webUrl', server.resolvedUrls!.local[0]!);
  return () => server.close();
}
