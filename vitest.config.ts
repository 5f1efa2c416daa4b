import { defineConfig } from 'vitest/config';

/** Tests run from source: the condition makes every workspace package resolve to its `src`. */
const conditions = ['@dsconv/source', 'module', 'node', 'import', 'default'];

const project = (
  name: string,
  root: string,
  setups: { setupFiles?: string[]; globalSetup?: string[] } = {},
) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name,
    root,
    include: ['test/**/*.test.ts'],
    exclude: ['test/browser/**', '**/node_modules/**'],
    ...setups,
    environment: 'node' as const,
    pool: 'forks' as const,
    // Node 20 has relaxed SIMD behind a flag; newer versions ignore an unknown one only on the command line of V8, so it is conditional.
    execArgv: Number(process.versions.node.split('.')[0]) < 21 ? ['--experimental-wasm-relaxed-simd'] : [],
    testTimeout: 60_000,
    // Making a backend compiles its shaders and tests them.
    hookTimeout: 60_000,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('core', 'packages/core'),
      project('conformance', 'packages/conformance'),
      project('backend-cpu', 'packages/backend-cpu'),
      project('backend-webgpu', 'packages/backend-webgpu', {
        setupFiles: ['test/support/dawn-setup.mjs'],
        globalSetup: ['test/support/shaders-setup.mjs'],
      }),
      project('backend-cuda', 'packages/backend-cuda', {
        globalSetup: ['test/support/emulation-setup.mjs'],
      }),
      project('models', 'packages/models'),
      project('layers', 'packages/layers'),
      project('converter', 'packages/converter'),
      project('cli', 'apps/cli'),
      project('web', 'apps/web'),
      project('docs', 'docs'),
    ],
  },
});
