import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { ISOLATION } from './src/isolation.js';

const SERVICE_WORKER = 'sw.js';

/** Writes into the service worker which files the page is made of. */
function pageFiles(): Plugin {
  let folder = '';
  return {
    name: 'page-files',
    apply: 'build',
    configResolved({ root, build }) {
      folder = resolve(root, build.outDir);
    },
    async closeBundle() {
      const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .filter((name) => name !== SERVICE_WORKER && !name.endsWith('.map'))
        .sort();
      const hash = createHash('sha256');
      for (const name of names) hash.update(name).update(await readFile(join(folder, name)));
      const files = names.map((name) => (name === 'index.html' ? './' : `./${name}`));
      const page = JSON.stringify({ version: hash.digest('hex').slice(0, 16), files });
      const path = join(folder, SERVICE_WORKER);
      const code = await readFile(path, 'utf8');
      if (!code.includes('__PAGE__')) throw new Error(`${path} has no place for the list of files`);
      await writeFile(path, code.replace('__PAGE__', page));
    },
  };
}

/**
 * TensorFlow.js' threads run the text of a function of its own, which is no use once it is minified. With this that text is what it was: what
 * users without a bundler have.
 */
function tensorflowThreads(): Plugin {
  return {
    name: 'tensorflow-threads',
    transform(code, id) {
      if (!id.endsWith('/tfjs-backend-wasm-threaded-simd.js')) return null;
      const [begin, end] = [code.indexOf('return (\n'), code.lastIndexOf('\n);\n})();')];
      if (begin < 0 || end < begin) throw new Error(`${id} is not written as it was; expected one function`);
      const text = JSON.stringify(code.slice(begin + 'return (\n'.length, end));
      return { code: `${code}\nmodule.exports.toString = () => ${text};\n`, map: null };
    },
  };
}

export default defineConfig({
  // Works from any folder of a static host.
  base: './',
  plugins: [pageFiles()],
  worker: { format: 'es', plugins: () => [tensorflowThreads()] },
  server: { headers: ISOLATION },
  preview: { headers: ISOLATION },
  build: {
    target: 'es2022',
    // TensorFlow.js alone is more; what counts is measured by bench/web.mjs.
    chunkSizeWarningLimit: 1500,
    rollupOptions: {
      input: { index: 'index.html', sw: 'src/service-worker.ts' },
      output: {
        entryFileNames: ({ name }) => (name === 'sw' ? SERVICE_WORKER : 'assets/[name]-[hash].js'),
      },
    },
  },
});
