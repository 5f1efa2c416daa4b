/** The page of page.mjs, built by Vite into a temporary folder and served to this machine alone, with the networks' files. */
import { createReadStream, rmSync } from 'node:fs';
import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
const SITE = dirname(fileURLToPath(import.meta.url));
const ORT = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
const ORT_MODULE = 'onnxruntime-web/webgpu';
const HTML = `<!doctype html>
<meta charset="utf-8">
<title>Benchmark</title>
<script type="importmap">{ "imports": { "${ORT_MODULE}": "/ort/ort.webgpu.bundle.min.mjs" } }</script>
<script type="module" src="/page.js"></script>
`;

/**
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function startSite() {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-site-'));
  await buildPage(folder);
  const roots = { '/files/': '/', '/ort/': `${ORT}/`, '/': `${folder}/` };
  const server = createServer((request, response) => answer(roots, request.url, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      server.close();
      server.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function buildPage(folder) {
  const { build } = await import('vite');
  await build({
    configFile: false,
    root: SITE,
    logLevel: 'error',
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'esnext',
      modulePreload: false,
      rolldownOptions: {
        input: join(SITE, 'page.mjs'),
        output: { entryFileNames: 'page.js' },
        // As it is published: its WebAssembly is found beside it.
        external: [ORT_MODULE],
      },
    },
  });
  await writeFile(join(folder, 'index.html'), HTML);
}

/** Isolated from other origins, so that the page's clock is exact to 5 µs. */
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cache-Control': 'no-store',
};

async function answer(roots, url, response) {
  const path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  const [prefix, root] = Object.entries(roots).find(([start]) => path.startsWith(start));
  const file = join(root, normalize(`/${path.slice(prefix.length) || 'index.html'}`));
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) {
    response.writeHead(404, HEADERS).end();
    return;
  }
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': found.size });
  createReadStream(file).pipe(response);
}
