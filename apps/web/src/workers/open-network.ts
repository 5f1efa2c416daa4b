/** Networks from the models package, from the zoo's servers and from addresses, each quantized, float or both. */
import { loadFloat } from '@dsconv/converter/hub';
import { readFloatBytes } from '@dsconv/converter/in-memory';
import { DSConvError } from '@dsconv/core';
import {
  isNetworkFile,
  loadModel,
  type Network,
  networkFileLength,
  networkOf,
  readSafetensors,
} from '@dsconv/models';
import type { FloatOrigin, NetworkRequest } from './api.js';
import type { Tell } from './channel.js';
import { dequantized } from './dequantized.js';
import { fetchBytes } from './fetch-bytes.js';

export interface Opened {
  /** As the file came; null where it was float. */
  quantized: Network | null;
  float: Network;
  floatOrigin: FloatOrigin;
  bytesFetched: number;
}

/** Float weights that the models package ships beside a quantized network, by the network's id. */
const SHIPPED_FLOATS = import.meta.glob<string>('../../../../packages/models/assets/*float*.safetensors', {
  query: '?url',
  import: 'default',
  eager: true,
});

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
  const quantized = await loadModel(id);
  const bytesFetched = networkFileLength(quantized);
  const [, address] = Object.entries(SHIPPED_FLOATS).find(([path]) => path.includes(`/${id}.`)) ?? [];
  if (address === undefined) {
    return { quantized, float: dequantized(quantized), floatOrigin: 'dequantized', bytesFetched };
  }
  const bytes = await fetchBytes(address, tell);
  const { architecture } = quantized;
  const { name, channels, classes, inputSize } = architecture;
  const options = { architecture: { name, channels, classes, inputSize } };
  const float = await readFloatBytes(bytes, id, options, address);
  return { quantized, float, floatOrigin: 'weights', bytesFetched };
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
  return { quantized: null, float, floatOrigin: 'weights', bytesFetched };
}

async function openUrl(url: string, tell: Tell): Promise<Opened> {
  const bytes = await fetchBytes(url, tell);
  const bytesFetched = bytes.length;
  const file = readSafetensors(bytes, url);
  const network = isNetworkFile(file) ? networkOf(file, url) : null;
  if (network?.isQuantized) {
    const float = dequantized(network);
    return { quantized: network, float, floatOrigin: 'dequantized', bytesFetched };
  }
  const name = new URL(url).pathname.split('/').at(-1) || url;
  const float = network ?? (await readFloatBytes(bytes, name, {}, url));
  return { quantized: null, float, floatOrigin: 'weights', bytesFetched };
}

/** A newer wish came before this one was done. */
export class SupersededError extends DSConvError {
  constructor() {
    super('SUPERSEDED', 'another setting was chosen before this one was done');
  }
}
