/** `--model`: a quantized file, a float network in any form the converter reads, or the id of a network of the zoo. */
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { readFloatNetwork } from '@dsconv/converter';
import { load } from '@dsconv/converter/hub';
import {
  getModel,
  isNetworkFile,
  listModels,
  loadModel,
  type Network,
  nearest,
  networkOf,
  readSafetensors,
  shippedBits,
  UnknownModelError,
} from '@dsconv/models';
import { FileError, toDSConvError } from './errors.js';
import type { Io } from './io.js';
import { createProgress, type Progress } from './progress.js';

/** Where a download tells how far it is. */
export interface Downloading {
  io: Io;
  /** No progress, as with `--json`. */
  silent: boolean;
}

/**
 * @param spec path or id; a path that exists goes first
 * @param architecture name, for float weights whose file does not tell
 * @param downloading given where a network of the zoo may be downloaded; it is then quantized and cached as `load` does by default
 * @throws UnknownModelError when it is neither
 * @throws FileFormatError when the file is damaged or of another kind
 * @throws DownloadError when it cannot be downloaded
 */
export async function openNetwork(
  spec: string,
  architecture?: string,
  downloading?: Downloading,
): Promise<Network> {
  const status = await stat(spec).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw toDSConvError(error, spec);
  });
  if (status === null) return loadById(spec, downloading);
  if (status.isFile() && extname(spec) !== '.json') {
    if (status.size === 0) throw new FileError(`'${spec}' is empty: it has 0 bytes`);
    const file = readSafetensors(await readBytes(spec), spec);
    if (isNetworkFile(file)) return networkOf(file, spec);
  }
  return readFloatNetwork(spec, architecture === undefined ? {} : { architecture });
}

async function loadById(id: string, downloading?: Downloading): Promise<Network> {
  // Networks that are shipped in several bits are told apart as in 'resnet20.fashion_mnist@2'.
  const [, shipped = '', bits] = /^(.+)@(\d+)$/.exec(id) ?? [];
  if (shippedBits(shipped).length > 0) return loadModel(shipped, { bits: Number(bits) });
  const ids = listModels().map((entry) => entry.id);
  if (ids.includes(id)) {
    const { weights } = getModel(id);
    const isThere = weights.shipped || weights.download === null || !downloading;
    return isThere ? loadModel(id) : download(id, downloading);
  }
  const suggestions = nearest(id, ids)
    .map((name) => `'${name}'`)
    .join(', ');
  throw new UnknownModelError(
    `'${id}' is neither a file nor the id of a network; expected a path that exists, or an id such as ${suggestions}`,
  );
}

async function readBytes(path: string): Promise<Uint8Array> {
  const { buffer, byteOffset, byteLength } = await readFile(path).catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** From its server or the cache. DSCONV_HUB names a mirror with the same paths, DSCONV_CACHE the folder of the cache. */
async function download(id: string, { io, silent }: Downloading): Promise<Network> {
  const { DSCONV_HUB: baseUrl } = process.env;
  /** One bar at a time: for a file, or for quantizing. */
  const bar: { label: string; progress?: Progress } = { label: '' };
  const tell = (label: string, done: number, total: number, detail: string): void => {
    if (bar.label !== label) {
      bar.progress?.finish();
      bar.progress = createProgress(io, silent, label, total);
      bar.label = label;
    }
    bar.progress?.update(done, detail);
  };
  try {
    return await load(id, {
      ...(baseUrl ? { baseUrl } : {}),
      ...(io.signal ? { signal: io.signal } : {}),
      onProgress(event) {
        if (event.status === 'progress') {
          const { file, loaded, progress: share } = event;
          tell(`download ${file}`, Math.floor(share ?? 0), 100, `${(loaded / 1e6).toFixed(1)} MB`);
        } else if (event.status === 'quantize') {
          tell('quantize', event.done, event.total, event.layer ?? '');
        }
      },
    });
  } finally {
    bar.progress?.finish();
  }
}
