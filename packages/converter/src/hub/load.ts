/** Networks of the zoo from where they are published: downloaded once, quantized once, then read from the cache. */
import {
  FileFormatError,
  getModel,
  loadModel,
  type ModelEntry,
  ModelNotShippedError,
  type Network,
  readNetwork,
  writeNetwork,
} from '@dsconv/models';
import { quantizeNetwork } from '../quantize-network.js';
import { hashOf } from '../sha256.js';
import { OfflineError } from './errors.js';
import { fetchFloatNetwork } from './float-network.js';
import { type LoadOptions, quantizationOf, type ResolvedOptions, resolveOptions } from './options.js';
import { openStore, type Store } from './store.js';

/** Counted up when the same options give other bytes, so that older cached files are made anew. */
const CACHE_VERSION = 2;

/** Loads in progress by what they write, so that two of them do not write at once. */
const running = new Map<string, Promise<unknown>>();

/**
 * A quantized network of the zoo. The first call downloads the float weights, telling
 * `onProgress`, verifies them, quantizes and caches the result; later calls with the same options read the cache. A network shipped
 * with `@dsconv/models` is read from there, as it is.
 *
 * @param id as in `listModels()`, such as 'resnet50.tv_in1k'
 * @throws UnknownModelError suggesting the nearest ids
 * @throws ModelNotShippedError when the authors publish no file that can be read here and `url` is not given
 * @throws OfflineError when it is not cached and `offline` is set
 * @throws DownloadError when the file cannot be had, is altered, or its server stalls
 * @throws FileFormatError, NotFiniteError when the file holds something else
 * @throws InvalidArgumentError for an option that is out of range
 */
export async function load(id: string, options: LoadOptions = {}): Promise<Network> {
  const entry = getModel(id);
  const resolved = resolveOptions(options);
  if (entry.weights.shipped) {
    const network = await loadModel(id);
    resolved.onProgress?.({ status: 'ready', id, cached: true });
    return network;
  }
  const store = await openStore(resolved.cacheDir);
  const name = await cachedName(entry, resolved);
  return oneAtATime(`${store.place}/${id}`, async () => {
    resolved.signal?.throwIfAborted();
    const cached = await readCached(store, name);
    const network = cached ?? (await make(entry, store, name, resolved));
    resolved.onProgress?.({ status: 'ready', id, cached: cached !== null });
    return network;
  });
}

/**
 * The float network of the zoo that `load` would quantize, with what its batch normalizations told. It is downloaded each time: the cache holds
 * quantized networks only, and what arrived of a download that broke.
 *
 * @throws as `load`; OfflineError when `offline` is set
 */
export async function loadFloat(id: string, options: LoadOptions = {}): Promise<Network> {
  const entry = getModel(id);
  const resolved = resolveOptions(options);
  const store = await openStore(resolved.cacheDir);
  return oneAtATime(`${store.place}/${id}`, () => fetchSource(entry, store, resolved));
}

/**
 * Whether `load` with these options would ask no server.
 *
 * @throws UnknownModelError, InvalidArgumentError as `load`
 */
export async function isCached(id: string, options: LoadOptions = {}): Promise<boolean> {
  const entry = getModel(id);
  const resolved = resolveOptions(options);
  if (entry.weights.shipped) return true;
  const store = await openStore(resolved.cacheDir);
  return store.has(await cachedName(entry, resolved));
}

async function make(
  entry: ModelEntry,
  store: Store,
  name: string,
  options: ResolvedOptions,
): Promise<Network> {
  const { id } = entry;
  const float = await fetchSource(entry, store, options);
  const { network } = await quantizeNetwork(float, {
    ...quantizationOf(options),
    onProgress: ({ done, total, layer, stage = 'quantize' }) => {
      options.signal?.throwIfAborted();
      options.onProgress?.({ status: 'quantize', id, done, total, layer, stage });
    },
  });
  float.dispose();
  await store.write(name, writeNetwork(network));
  return network;
}

/** The float network from its server, where that may be asked and has one. */
async function fetchSource(entry: ModelEntry, store: Store, options: ResolvedOptions): Promise<Network> {
  const { id, weights } = entry;
  if (options.offline) {
    throw new OfflineError(
      `'${id}' with these options is not in ${store.place}; expected it there, or offline to be false`,
    );
  }
  const hasSource = options.url !== undefined || (!weights.shipped && weights.download !== null);
  if (!hasSource) {
    const from = weights.shipped ? 'this package' : weights.from;
    throw new ModelNotShippedError(
      `the weights of '${id}' are published as no file that can be downloaded here; expected the option url with a safetensors file made from ${from}`,
    );
  }
  return fetchFloatNetwork(entry, store, options);
}

/** A cached file that cannot be read, cut short by a crash or written by hand, is made anew. */
async function readCached(store: Store, name: string): Promise<Network | null> {
  const bytes = await store.read(name);
  if (bytes === null) return null;
  try {
    return readNetwork(bytes, name);
  } catch (error) {
    if (!(error instanceof FileFormatError)) throw error;
    await store.remove(name);
    return null;
  }
}

/** Says for people what it is, and in its last part for programs what it was made from and how. */
async function cachedName(entry: ModelEntry, options: ResolvedOptions): Promise<string> {
  const quantization = quantizationOf(options);
  const { url = null, sha256 = null } = options;
  const download = entry.weights.shipped ? null : entry.weights.download;
  const made = JSON.stringify({ version: CACHE_VERSION, download, url, sha256, quantization });
  const key = (await hashOf(new TextEncoder().encode(made))).slice(0, 16);
  const kind = quantization.target ? 'mixed' : `${quantization.bits}bits-B${quantization.blockSize}`;
  return `${entry.id}/${kind}-${key}.safetensors`;
}

async function oneAtATime<T>(key: string, work: () => Promise<T>): Promise<T> {
  const before = running.get(key);
  const mine = (before ?? Promise.resolve()).catch(() => undefined).then(work);
  running.set(key, mine);
  try {
    return await mine;
  } finally {
    if (running.get(key) === mine) running.delete(key);
  }
}
