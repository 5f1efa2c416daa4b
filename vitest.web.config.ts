import { defineConfig } from 'vitest/config';

/** The page from end to end: Playwright in the Chromium that DSCONV_CHROMIUM names, on what `npm run build` made. */
if (!process.env.DSCONV_CHROMIUM) {
  throw new Error('DSCONV_CHROMIUM is not set; expected the path of a Chromium');
}

const conditions = ['@dsconv/source', 'module', 'node', 'import', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'web',
    root: 'apps/web',
    include: ['test/browser/**/*.test.ts'],
    globalSetup: ['test/browser/support/serve.ts'],
    environment: 'node',
    pool: 'forks',
    // One browser at a time: times are shown on the page, and machines have few cores.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
