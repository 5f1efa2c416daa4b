import { ISOLATION } from './isolation.js';

/**
 * Keeps the page for times without a network: its own files as one version, weights of networks as they come. Adds the headers that isolate it,
 * which threads need and many hosts cannot send: from the second load on the page has them from here.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;

/** Filled in by the build: every file of the page, and a hash of them all. */
const PAGE: { version: string; files: string[] } = JSON.parse('__PAGE__');

const PAGE_CACHE = `dsconv-page-${PAGE.version}`;
const WEIGHTS_CACHE = 'dsconv-weights';
const WEIGHTS = /(\.safetensors|\/model\.json|\/group\d+-shard\d+of\d+(\.bin)?)$/;

worker.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(PAGE_CACHE).then((cache) =>
      // Past the browser's own cache, which may hold files of another version.
      cache.addAll(PAGE.files.map((file) => new Request(file, { cache: 'reload' }))),
    ),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith('dsconv-page-') && name !== PAGE_CACHE) await caches.delete(name);
      }
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const { origin, pathname } = new URL(request.url);
  if (origin === worker.location.origin) event.respondWith(own(request));
  else if (WEIGHTS.test(pathname) && !request.headers.has('range')) event.respondWith(weights(request));
});

async function own(request: Request): Promise<Response> {
  const cache = await caches.open(PAGE_CACHE);
  const wanted = request.mode === 'navigate' ? './' : request;
  const found = await cache.match(wanted, { ignoreSearch: true, ignoreVary: true });
  return isolated(found ?? (await fetch(request)));
}

/** For documents and the workers they start; elsewhere the headers mean nothing. */
function isolated(response: Response): Response {
  // Redirections and the like, which cannot be made anew.
  if (response.status === 0) return response;
  const { body, status, statusText } = response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(body, { status, statusText, headers });
}

async function weights(request: Request): Promise<Response> {
  const cache = await caches.open(WEIGHTS_CACHE);
  const found = await cache.match(request, { ignoreVary: true });
  if (found) return found;
  const response = await fetch(request);
  // Without room for it the page works as well, only not offline.
  if (response.status === 200) cache.put(request, response.clone()).catch(() => undefined);
  return response;
}
