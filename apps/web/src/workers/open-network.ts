/** Networks from the models package, from the zoo's servers and from addresses, each quantized, float or both. */
import { loadFloat } from '@dsconv/converter/hub';
import { readFloatBytes } from '@dsconv/converter/in-memory';
import { DSConvError } from '@dsconv/core';
import { isNetworkFile, type Network, networkFileLength, networkOf, readSafetensors } from '@dsconv/models';
import type { FloatOrigin, NetworkRequest } from './api.js';
import type { Tell } from './channel.js';
import { dequantized } from './dequantized.js';
import { fetchBytes } from './fetch-bytes.js';
import { shippedFloat, shippedNetworks } from './shipped.js';

export interface Opened {
  /** As it came; none where it was float. */
  files: Network[];
  float: Network;
  floatOrigin: FloatOrigin;
  bytesFetched: number;
}

export async function openNetwork(request: NetworkRequest, tell: Tell): Promise<Opened> {
  switch (request.kind) {
    case 'shipped':
      return openShipped(request.id, tell);
    case 'zoo':
      return openZoo(request.id, request.base, tell);
    case 'url':
      return openUrl(request.url, tell);
  }
}

async function openShipped(id: string, tell: Tell): Promise<Opened> {
  tell({ task: `Loading ${id}`, done: 0, total: null });
  const files = await shippedNetworks(id);
  const bytesFetched = networkFileLength(files[0]!);
  return { files, ...(await shippedFloat(id, files[0]!, tell)), bytesFetched };
}

async function openZoo(id: string, base: string | null, tell: Tell): Promise<Opened> {
  const fetched = new Map<string, number>();
  const float = await loadFloat(id, {
    ...(base === null ? {} : { baseUrl: base }),
    onProgress: (event) => {
      if (event.status === 'progress' || event.status === 'download') {
        fetched.set(event.file, event.loaded);
        tell({ task: `Downloading ${event.file}`, done: event.loaded, total: event.total });
      }
    },
  });
  const bytesFetched = [...fetched.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { files: [], float, floatOrigin: 'weights', bytesFetched };
}

async function openUrl(url: string, tell: Tell): Promise<Opened> {
  const bytes = await fetchBytes(url, tell);
  const bytesFetched = bytes.length;
  const file = readSafetensors(bytes, url);
  const network = isNetworkFile(file) ? networkOf(file, url) : null;
  if (network?.isQuantized) {
    const float = dequantized(network);
    return { files: [network], float, floatOrigin: 'dequantized', bytesFetched };
  }
  const name = new URL(url).pathname.split('/').at(-1) || url;
  const float = network ?? (await readFloatBytes(bytes, name, {}, url));
  return { files: [], float, floatOrigin: 'weights', bytesFetched };
}

/** A newer wish came before this one was done. */
export class SupersededError extends DSConvError {
  constructor() {
    super('SUPERSEDED', 'another setting was chosen before this one was done');
  }
}
