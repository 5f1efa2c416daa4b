/** The float network of a zoo entry, from its server. */
import {
  FileFormatError,
  type ModelDownload,
  type ModelEntry,
  Network,
  readSafetensors,
} from '@dsconv/models';
import { readKerasNetwork } from '../keras-mobilenet.js';
import { listShards, readLayersModel } from '../layers-model.js';
import { hashOf } from '../sha256.js';
import { readTorchNetwork } from '../torch-safetensors.js';
import { type Downloaded, download } from './download.js';
import { follow } from './follow.js';
import type { ResolvedOptions } from './options.js';
import type { Store } from './store.js';

const HUB = 'https://huggingface.co';

type Weights = Pick<ReturnType<typeof readTorchNetwork>, 'architecture' | 'weights'> & { sha256: string };

/** @throws DownloadError, FileFormatError, NotFiniteError */
export async function fetchFloatNetwork(
  entry: ModelEntry,
  store: Store,
  options: ResolvedOptions,
): Promise<Network> {
  const source = entry.weights.shipped ? null : entry.weights.download;
  const { url } = options;
  const { architecture, weights, sha256 } =
    source?.kind === 'layersModel' && url === undefined
      ? await fetchLayersModel(entry, source, store, options)
      : await fetchSafetensors(entry, url ?? (source as HubDownload), store, options);
  const { preprocessing, labels } = entry;
  const metadata = { source: entry.id, sourceSha256: sha256 };
  return new Network({ architecture, weights, preprocessing, labels, metadata });
}

type HubDownload = Extract<ModelDownload, { kind: 'safetensors' }>;

async function fetchSafetensors(
  entry: ModelEntry,
  from: string | HubDownload,
  store: Store,
  options: ResolvedOptions,
): Promise<Weights> {
  const { id } = entry;
  const address = typeof from === 'string' ? from : hubAddress(from, options);
  const file = typeof from === 'string' ? lastPart(from) : from.file;
  const stated = typeof from === 'string' ? null : from.sha256;
  const request = {
    url: address,
    name: await partialName(id, address),
    id,
    file,
    sha256: options.sha256?.toLowerCase() ?? stated,
    ...(typeof from === 'string' ? {} : { findHash: () => hashFromListing(from, options) }),
  };
  const { bytes, sha256 } = await download(store, request, options);
  const found = readTorchNetwork(readSafetensors(bytes, address), address, entry.architecture);
  return { ...found, sha256 };
}

/** model.json first, then the shards it names. */
async function fetchLayersModel(
  entry: ModelEntry,
  { base, path }: Extract<ModelDownload, { kind: 'layersModel' }>,
  store: Store,
  options: ResolvedOptions,
): Promise<Weights> {
  const { id } = entry;
  const address = join(options.baseUrl ?? base, path);
  const folder = address.slice(0, address.lastIndexOf('/') + 1);
  const files = new Map<string, Downloaded>();
  const fetchFile = async (file: string, sha256: string | null): Promise<Uint8Array> => {
    const url = folder + file;
    const name = await partialName(id, url);
    const downloaded = await download(store, { url, name, id, file, sha256 }, options);
    files.set(url, downloaded);
    return downloaded.bytes;
  };
  const model = await fetchFile(lastPart(address), options.sha256?.toLowerCase() ?? null);
  for (const shard of listShards(model, address)) await fetchFile(shard, null);
  const read = async (file: string): Promise<Uint8Array> => {
    const found = files.get(file);
    if (found) return found.bytes;
    throw new FileFormatError(
      address,
      `names the shard '${file}' only in its second reading; expected it in both`,
    );
  };
  const parsed = await readLayersModel(address, {
    read,
    size: async (file) => (await read(file)).length,
  });
  const found = readKerasNetwork(parsed, address, entry.architecture);
  return { ...found, sha256: parsed.sha256 };
}

/** As the hub's addresses are: `<base>/<owner>/<name>/resolve/<revision>/<file>`. */
function hubAddress({ repository, revision, file }: HubDownload, { baseUrl = HUB }: ResolvedOptions): string {
  return join(baseUrl, `${repository}/resolve/${encodeURIComponent(revision)}/${file}`);
}

/**
 * The hub's list of files has the SHA-256 of those in large file storage. Browsers need it, because they hide the redirect that states it.
 *
 * @returns null when the server has no such list
 */
async function hashFromListing(
  { repository, revision, file }: HubDownload,
  { baseUrl = HUB, signal, stallTimeout }: ResolvedOptions,
): Promise<string | null> {
  const address = join(baseUrl, `api/models/${repository}/tree/${encodeURIComponent(revision)}`);
  try {
    const timeout = AbortSignal.timeout(stallTimeout);
    const { response } = await follow(address, { signal: timeout });
    if (!response.ok) {
      await response.body?.cancel();
      return null;
    }
    const list: unknown = await response.json();
    if (!Array.isArray(list)) return null;
    const found = list.find((item) => item?.path === file)?.lfs?.oid;
    return typeof found === 'string' && /^[0-9a-f]{64}$/.test(found) ? found : null;
  } catch {
    // Without the list the file stays unverified, and the event 'done' says so.
    signal?.throwIfAborted();
    return null;
  }
}

const join = (base: string, path: string): string => `${base.replace(/\/+$/, '')}/${path}`;

/** What is kept of an unfinished download must not be taken for a part of another one. */
async function partialName(id: string, url: string): Promise<string> {
  return `${id}/${(await hashOf(new TextEncoder().encode(url))).slice(0, 16)}`;
}

/** The name of a file, without what an address may have behind it. */
const lastPart = (address: string): string =>
  address
    .replace(/[?#].*$/, '')
    .split('/')
    .at(-1) || 'weights';
