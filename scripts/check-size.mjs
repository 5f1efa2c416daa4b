/**
 * What a page has to load beside TensorFlow.js: bundles the built packages as a page's bundler does, everything they export, and holds the
 * compressed size against a limit.
 */
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const BUNDLES = [{ packages: ['@dsconv/core', '@dsconv/backend-webgpu'], limit: 60_000 }];

let failures = 0;
for (const { packages, limit } of BUNDLES) {
  const code = await bundle(packages);
  const size = gzipSync(code, { level: 9 }).length;
  const verdict = size <= limit ? 'ok' : `FAILED: expected at most ${limit}`;
  console.log(`${packages.join(' + ')}: ${size} bytes compressed, ${code.length} minified; ${verdict}`);
  if (size > limit) failures++;
}
process.exitCode = failures === 0 ? 0 : 1;

/** @param {string[]} packages @returns {Promise<Buffer>} one minified module without TensorFlow.js */
async function bundle(packages) {
  const entry = 'virtual:entry';
  const source = packages.map((name) => `export * from '${name}';`).join('\n');
  const { output } = await build({
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? source : null),
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      rolldownOptions: {
        input: entry,
        external: [/^@tensorflow\//],
        preserveEntrySignatures: 'strict',
      },
    },
  });
  const chunks = output.filter(({ type }) => type === 'chunk');
  return Buffer.concat(chunks.map(({ code }) => Buffer.from(code)));
}
