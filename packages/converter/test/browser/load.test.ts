/** `load` in a page: the Cache API, a server of another origin, redirects that the browser hides. */
import '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import { type Network, writeNetwork, writeSafetensors } from '@dsconv/models';
import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import {
  DownloadError,
  isCached,
  type LoadEvent,
  type LoadOptions,
  load,
  OfflineError,
} from '../../src/hub/index.js';
import { buildTorchNetwork } from '../support/torchvision/networks.js';
import type { Arrangement } from './hub-setup.js';

const ID = 'mobilenet_v2_1.0.ra_in1k';
const PATH = '/timm/mobilenetv2_100.ra_in1k/resolve/main/model.safetensors';
const hubUrl = inject('hubUrl');
const control = inject('hubControl');

let file: Uint8Array<ArrayBuffer>;
let count = 0;
let events: LoadEvent[];
let options: LoadOptions & { cacheDir: string };

/** @returns the requests since the last time */
async function arrange(arrangement: Arrangement = {}): Promise<string[]> {
  const response = await fetch(control, { method: 'POST', body: JSON.stringify(arrangement) });
  return response.json();
}

beforeAll(async () => {
  await selectBackend(['dsconv-cpu']);
  file = writeSafetensors(buildTorchNetwork('mobilenetv2_100 of timm', 1, 32, 1000).state) as typeof file;
});

beforeEach(async () => {
  await fetch(control + PATH, { method: 'PUT', body: file });
  await arrange({ options: { listing: true } });
  events = [];
  options = {
    baseUrl: hubUrl,
    cacheDir: `dsconv-test-${count++}`,
    method: 'absmax',
    biasCorrection: false,
    retryDelay: 1,
    stallTimeout: 5000,
    onProgress: (event) => events.push(event),
  };
});

/** Names of what a cache holds. */
async function cached(): Promise<string[]> {
  const requests = await (await caches.open(options.cacheDir)).keys();
  return requests.map(({ url }) => new URL(url).pathname);
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function failure(more: LoadOptions = {}): Promise<DownloadError> {
  const error = await load(ID, { ...options, ...more }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(DownloadError);
  return error as DownloadError;
}

const bytesOf = (network: Network): string => writeNetwork(network).join();

describe('load in a browser', () => {
  it('downloads, verifies by the list of files, quantizes and caches; the second call asks no server', async () => {
    expect(await isCached(ID, options)).toBe(false);
    const network = await load(ID, options);
    expect(network.metadata).toEqual({ source: ID, sourceSha256: await sha256(file) });
    expect(await cached()).toEqual([expect.stringMatching(/\/4bits-B64-[0-9a-f]{16}\.safetensors$/)]);
    const order = events.map(({ status }) => status).filter((status, n, all) => status !== all[n - 1]);
    expect(order).toEqual(['initiate', 'download', 'progress', 'done', 'quantize', 'ready']);
    expect(events.find(({ status }) => status === 'download')).toMatchObject({ total: file.length });
    expect(events.find(({ status }) => status === 'done')).toMatchObject({
      bytes: file.length,
      verified: true,
    });
    expect((await arrange()).length).toBeGreaterThan(1);

    expect(await isCached(ID, options)).toBe(true);
    const again = await load(ID, { ...options, offline: true });
    expect(await arrange()).toEqual([]);
    expect(events.at(-1)).toEqual({ status: 'ready', id: ID, cached: true });
    expect(bytesOf(again)).toBe(bytesOf(network));
    expect(await isCached(ID, { ...options, bits: 3 })).toBe(false);
  });

  it('gives a network that names what a canvas shows', async () => {
    const network = await load(ID, { ...options, bits: 8 });
    const context = new OffscreenCanvas(300, 200).getContext('2d')!;
    context.fillStyle = '#804020';
    context.fillRect(40, 30, 120, 90);
    const found = await network.classify(context.getImageData(0, 0, 300, 200), { topK: 3 });
    expect(found).toHaveLength(3);
    for (const { index, label, probability } of found) {
      expect(label).toBe(network.labels[index]);
      expect(probability).toBeGreaterThan(0);
    }
    network.dispose();
  });

  it('goes on where a connection broke', async () => {
    await arrange({ options: { listing: true }, faults: [{ cutAfter: 3_000_000 }] });
    const network = await load(ID, options);
    expect(network.metadata.sourceSha256).toBe(await sha256(file));
    const requests = await arrange();
    expect(requests.filter((line) => / bytes=[1-9]\d*-$/.test(line))).not.toEqual([]);
    expect(await cached()).toHaveLength(1);
  });

  it('keeps what arrived in the cache, and a later call takes it up', async () => {
    await arrange({ options: { listing: true }, faults: [{ cutAfter: 3_000_000 }] });
    const error = await failure({ retries: 0 });
    expect(['TRUNCATED', 'NETWORK']).toContain(error.problem);
    expect(error.message).toContain(PATH);
    expect(await cached()).toEqual([expect.stringMatching(/\.part$/)]);
    await arrange({ options: { listing: true } });
    events = [];
    expect((await load(ID, options)).metadata.sourceSha256).toBe(await sha256(file));
    const first = events.find(({ status }) => status === 'download');
    expect(first).toMatchObject({ loaded: expect.any(Number), total: file.length });
    expect((first as { loaded: number }).loaded).toBeGreaterThan(0);
    expect(await cached()).toEqual([expect.stringMatching(/\.safetensors$/)]);
  });

  it('refuses a wrong hash, a missing file and a server that stalls, and keeps nothing wrong', async () => {
    const wrong = await failure({ sha256: 'ab'.repeat(32) });
    expect(wrong.problem).toBe('HASH');
    expect(await cached()).toEqual([]);
    await arrange({ options: { listing: true }, faults: [{ stallAfter: 100_000 }] });
    const stalled = await failure({ stallTimeout: 300, retries: 0 });
    expect(stalled.problem).toBe('STALLED');
    await arrange({ remove: [PATH] });
    const missing = await failure();
    expect(missing).toMatchObject({ problem: 'HTTP_STATUS', status: 404 });
    await expect(load(ID, { ...options, offline: true })).rejects.toThrow(OfflineError);
    await expect(load(ID, { ...options, offline: true })).rejects.toThrow(
      `is not in cache '${options.cacheDir}'`,
    );
  });
});
