import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { ISOLATION } from './apps/web/src/isolation.js';
import { CHROMIUM_FLAGS, SOFTWARE_WEBGPU_FLAGS } from './scripts/chromium-flags.mjs';

/** The suites that must also hold in a browser, in the Chromium that DSCONV_CHROMIUM names. */
const executablePath = process.env.DSCONV_CHROMIUM;
if (!executablePath) throw new Error('DSCONV_CHROMIUM is not set; expected the path of a Chromium');

const conditions = ['@dsconv/source', 'module', 'browser', 'import', 'default'];

const browser = (flags: string[] = []) => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  // A busy machine may take long to start it.
  connectTimeout: 300_000,
  instances: [{ browser: 'chromium' as const }],
  provider: playwright({ launchOptions: { executablePath, args: [...CHROMIUM_FLAGS, ...flags] } }),
});

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { conditions },
        // Shared memory, and with it threads of the WebAssembly tiers, is for isolated pages alone.
        server: { headers: ISOLATION },
        optimizeDeps: { include: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'] },
        test: {
          name: 'chromium',
          globalSetup: ['packages/converter/test/browser/hub-setup.ts'],
          include: ['packages/*/test/browser/**/*.test.ts'],
          testTimeout: 120_000,
          browser: browser(),
        },
      },
      {
        resolve: { conditions },
        // All that a test imports: one that is found later makes Vite reload the page in the middle of a test.
        optimizeDeps: {
          include: [
            '@tensorflow/tfjs-core',
            '@tensorflow/tfjs-backend-cpu',
            '@tensorflow/tfjs-backend-webgpu',
            'fast-check',
          ],
        },
        test: {
          name: 'chromium-webgpu',
          globalSetup: ['packages/backend-webgpu/test/support/shaders-setup.mjs'],
          // The same files as in Node, but for what only Node has.
          include: ['packages/backend-webgpu/test/**/*.test.ts'],
          exclude: ['packages/backend-webgpu/test/node/**'],
          // A page has no environment of its own.
          env: { DSCONV_REQUIRE: process.env.DSCONV_REQUIRE ?? '' },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          browser: browser(SOFTWARE_WEBGPU_FLAGS),
        },
      },
    ],
  },
});
