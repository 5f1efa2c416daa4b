import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';

/** The suites that must also hold in a browser, in the Chromium that DSCONV_CHROMIUM names. */
const executablePath = process.env.DSCONV_CHROMIUM;
if (!executablePath) throw new Error('DSCONV_CHROMIUM is not set; expected the path of a Chromium');

const conditions = ['@dsconv/source', 'module', 'browser', 'import', 'default'];

export default defineConfig({
  resolve: { conditions },
  optimizeDeps: { include: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'] },
  test: {
    name: 'chromium',
    globalSetup: ['packages/converter/test/browser/hub-setup.ts'],
    include: ['packages/*/test/browser/**/*.test.ts'],
    testTimeout: 120_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: 'chromium' }],
      provider: playwright({
        launchOptions: {
          executablePath,
          args: [
            '--no-sandbox',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
          ],
        },
      }),
    },
  },
});
