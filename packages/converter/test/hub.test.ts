import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dsconv/core';
import {
  createArchitecture,
  FileFormatError,
  ModelNotShippedError,
  UnknownModelError,
  writeNetwork,
  writeSafetensors,
} from '@dsconv/models';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  DownloadError,
  isCached,
  type LoadEvent,
  type LoadOptions,
  load,
  loadFloat,
  OfflineError,
  quantizeNetwork,
  readFloatNetwork,
} from '../src/index.js';
import { type HubServer, startHub } from './support/hub-server.js';
import { scratchFolder } from './support/scratch-folder.js';
import { mobileNetModel, writeLayersModel } from './support/source-files.js';
import { buildTorchNetwork } from './support/torchvision/networks.js';

const ID = 'mobilenet_v2_1.0.ra_in1k';
const PATH = '/timm/mobilenetv2_100.ra_in1k/resolve/main/model.safetensors';

const scratch = scratchFolder();
let hub: HubServer;
let file: Uint8Array;
let count = 0;
let options: LoadOptions & { cacheDir: string };
let events: LoadEvent[];

beforeAll(async () => {
  hub = await startHub();
  file = writeSafetensors(buildTorchNetwork('mobilenetv2_100 of timm', 1, 32, 1000).state);
});

afterAll(() => hub.close());

beforeEach(() => {
  hub.breakConnections();
  hub.files.clear();
  hub.files.set(PATH, file);
  hub.requests.length = 0;
  hub.faults.length = 0;
  hub.options = {};
  events = [];
  options = {
    baseUrl: hub.url,
    cacheDir: join(scratch, `cache-${count++}`),
    method: 'absmax',
    retryDelay: 1,
    stallTimeout: 2000,
    onProgress: (event) => events.push(event),
  };
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Files of the cache by name. */
const cached = (): string[] =>
  existsSync(options.cacheDir)
    ? readdirSync(options.cacheDir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
    : [];

const bytesAsked = (): string[] => hub.requests.filter((line) => line.includes('/stored/'));

async function failure(id: string, more: LoadOptions = {}): Promise<DownloadError> {
  const error = await load(id, { ...options, ...more }).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DownloadError);
  return error as DownloadError;
}

describe('load', () => {
  it('downloads, verifies, quantizes and caches; the second call asks no server', async () => {
    expect(await isCached(ID, options)).toBe(false);
    const network = await load(ID, options);
    expect(hub.requests).toEqual([`GET ${PATH}`, `GET /stored${PATH}`]);
    expect(network.isQuantized).toBe(true);
    expect(network.labels).toHaveLength(1000);
    expect(network.preprocessing.interpolation).toBe('bicubic');
    expect(network.metadata).toEqual({ source: ID, sourceSha256: sha256(file) });
    expect(cached()).toEqual([expect.stringMatching(/^4bits-B64-[0-9a-f]{16}\.safetensors$/)]);

    expect(await isCached(ID, options)).toBe(true);
    const again = await load(ID, { ...options, offline: true });
    expect(hub.requests).toHaveLength(2);
    expect(Buffer.compare(writeNetwork(again), writeNetwork(network))).toBe(0);
    expect(events.at(-1)).toEqual({ status: 'ready', id: ID, cached: true });
  });

  it('is what reading and quantizing the file by hand gives', async () => {
    const quantization = { bits: 5, blockSize: 32, method: 'absmax', activationBits: 7 } as const;
    const network = await load(ID, { ...options, ...quantization });
    const path = join(scratch, 'by-hand.safetensors');
    writeFileSync(path, file);
    const { network: expected } = await quantizeNetwork(await readFloatNetwork(path), quantization);
    expect(network.activationBits).toBe(7);
    for (const [name, { filter, bias }] of expected.weights) {
      const found = network.weights.get(name)!;
      expect(found.filter).toMatchObject({ bits: (filter as { bits: number }).bits });
      expect((found.filter as { vqk: Uint8Array }).vqk).toEqual((filter as { vqk: Uint8Array }).vqk);
      expect(found.bias).toEqual(bias);
    }
  });

  it('tells what happens: initiate, download, progress, done, quantize, ready', async () => {
    await load(ID, options);
    const order = events.map(({ status }) => status).filter((status, n, all) => status !== all[n - 1]);
    expect(order).toEqual(['initiate', 'download', 'progress', 'done', 'quantize', 'ready']);
    expect(events[0]).toEqual({ status: 'initiate', id: ID, file: 'model.safetensors' });
    expect(events[1]).toMatchObject({ status: 'download', loaded: 0, total: file.length });
    const progress = events.filter((event) => event.status === 'progress');
    expect(progress.length).toBeGreaterThan(10);
    for (const [n, { loaded, total, progress: share }] of progress.entries()) {
      expect(loaded).toBeGreaterThan(n === 0 ? 0 : progress[n - 1]!.loaded);
      expect(total).toBe(file.length);
      expect(share).toBeCloseTo((100 * loaded) / file.length, 8);
    }
    expect(progress.at(-1)).toMatchObject({ loaded: file.length, progress: 100 });
    const done = events.find(({ status }) => status === 'done');
    expect(done).toMatchObject({ bytes: file.length, sha256: sha256(file), verified: true });
    const layers = createArchitecture('mobilenet_v2_1.0').layers.length;
    expect(events.at(-2)).toEqual({
      status: 'quantize',
      id: ID,
      done: layers,
      total: layers,
      layer: null,
      stage: 'quantize',
    });
  });

  it('keeps different options apart, and takes options that mean the same for the same', async () => {
    await load(ID, options);
    await load(ID, { ...options, bits: 4, blockSize: 64, layers: {} });
    expect(hub.requests).toHaveLength(2);
    expect(await isCached(ID, { ...options, bits: 3 })).toBe(false);
    await load(ID, { ...options, bits: 3 });
    expect(hub.requests).toHaveLength(4);
    expect(cached()).toHaveLength(2);
  });

  it('keeps apart what layers say, in their order, and refuses a target it cannot reach before it asks a server', async () => {
    const [some, all] = ['features.1*', '*'];
    const narrow = await load(ID, { ...options, layers: { [all]: { bits: 5 }, [some]: { bits: 3 } } });
    const wide = await load(ID, { ...options, layers: { [some]: { bits: 3 }, [all]: { bits: 5 } } });
    const bitsOf = (network: typeof narrow): unknown => network.weights.get('features.18.0')!.filter;
    expect(bitsOf(narrow)).toMatchObject({ bits: 3 });
    expect(bitsOf(wide)).toMatchObject({ bits: 5 });
    const asked = hub.requests.length;
    await expect(load(ID, { ...options, target: { maxDrop: 0.1 } })).rejects.toThrow(
      /target is \{"maxDrop":0\.1\}; expected bitsPerWeight, ratio or bytes/,
    );
    await expect(load(ID, { ...options, target: { ratio: -1 } })).rejects.toThrow(/target\.ratio is -1/);
    expect(hub.requests).toHaveLength(asked);
  });

  it('downloads once for two calls at once', async () => {
    await Promise.all([load(ID, options), load(ID, options)]);
    expect(hub.requests).toHaveLength(2);
  });

  it('makes a cached file anew that was cut short', async () => {
    await load(ID, options);
    const [name] = cached();
    const path = join(options.cacheDir, ID, name!);
    truncateSync(path, statSync(path).size - 100);
    expect((await load(ID, options)).isQuantized).toBe(true);
    expect(hub.requests).toHaveLength(4);
  });

  it('reads a network that is shipped without any server', async () => {
    const network = await load('resnet20.fashion_mnist', { ...options, offline: true });
    expect(network.labels[9]).toBe('Ankle boot');
    expect(await isCached('resnet20.fashion_mnist', options)).toBe(true);
    expect(hub.requests).toEqual([]);
  });

  it('takes the file from an address of its own', async () => {
    const { state } = buildTorchNetwork('squeezenet1_1', 1, 32, 1000);
    hub.files.set('/mine/weights.safetensors', writeSafetensors(state));
    await expect(load('squeezenet1_1.tv_in1k', options)).rejects.toThrow(ModelNotShippedError);
    await expect(load('squeezenet1_1.tv_in1k', options)).rejects.toThrow(/expected the option url/);
    const url = `${hub.url}/mine/weights.safetensors?download=1`;
    hub.files.set('/mine/weights.safetensors?download=1', hub.files.get('/mine/weights.safetensors')!);
    const network = await load('squeezenet1_1.tv_in1k', { ...options, url });
    expect(network.architecture.name).toBe('squeezenet1_1');
    expect(events.find(({ status }) => status === 'done')).toMatchObject({ verified: false });
  });

  it('gives the float network too, which quantized is what load gives', async () => {
    const float = await loadFloat(ID, options);
    expect(float.isQuantized).toBe(false);
    expect(float.metadata).toEqual({ source: ID, sourceSha256: sha256(file) });
    expect(cached()).toEqual([]);
    const { network } = await quantizeNetwork(float, { bits: 4, method: 'absmax' });
    expect(writeNetwork(network)).toEqual(writeNetwork(await load(ID, options)));
    await expect(loadFloat(ID, { ...options, offline: true })).rejects.toThrow(OfflineError);
    await expect(loadFloat('resnet20.fashion_mnist', options)).rejects.toThrow(ModelNotShippedError);
  });

  it('reads a LayersModel: model.json and its shards', async () => {
    const architecture = createArchitecture('mobilenet_v1_0.25');
    const folder = writeLayersModel(join(scratch, 'keras'), architecture, mobileNetModel(architecture));
    for (const name of readdirSync(folder)) {
      hub.files.set(`/tfjs-models/tfjs/mobilenet_v1_0.25_224/${name}`, readFileSync(join(folder, name)));
    }
    const network = await load('mobilenet_v1_0.25.keras_in1k', { ...options, bits: 8 });
    expect(network.architecture.name).toBe('mobilenet_v1_0.25');
    expect(network.preprocessing.range).toEqual([-1, 1]);
    const names = events
      .filter(({ status }) => status === 'done')
      .map((event) => 'file' in event && event.file);
    expect(names).toEqual(['model.json', 'group1-shard1of2', 'group1-shard2of2', 'group2-shard1of1']);
    const { network: expected } = await quantizeNetwork(await readFloatNetwork(folder), {
      bits: 8,
      method: 'absmax',
    });
    expect(network.metadata.sourceSha256).toBe(expected.metadata.sourceSha256);
    const vqk = (from: typeof network): unknown => from.weights.get('conv_pw_5')!.filter;
    expect(vqk(network)).toMatchObject({ vqk: (vqk(expected) as { vqk: Uint8Array }).vqk });
  });

  it('says what is wrong with ids, options and a missing cache', async () => {
    await expect(load('resnet50.tv_in2k', options)).rejects.toThrow(UnknownModelError);
    await expect(load('resnet50.tv_in2k', options)).rejects.toThrow(/'resnet50\.tv_in1k'/);
    await expect(load(ID, { ...options, bits: 9 })).rejects.toThrow(InvalidArgumentError);
    await expect(load(ID, { ...options, blockSize: 0 })).rejects.toThrow(InvalidArgumentError);
    await expect(load(ID, { ...options, baseUrl: 'ftp://x' })).rejects.toThrow(/baseUrl is "ftp:\/\/x"/);
    await expect(load(ID, { ...options, sha256: 'abc' })).rejects.toThrow(/64 hexadecimal digits/);
    await expect(load(ID, { ...options, stallTimeout: 0 })).rejects.toThrow(/stallTimeout is 0/);
    hub.requests.length = 0;
    await expect(load(ID, { ...options, offline: true })).rejects.toThrow(OfflineError);
    await expect(load(ID, { ...options, offline: true })).rejects.toThrow(`is not in ${options.cacheDir}`);
    expect(hub.requests).toEqual([]);
  });
});

describe('a server', () => {
  it('that breaks off is asked for the rest', async () => {
    hub.faults.push({ cutAfter: 1_000_000 }, { cutAfter: 2_000_000 });
    const network = await load(ID, options);
    expect(network.metadata.sourceSha256).toBe(sha256(file));
    const ranges = bytesAsked().map((line) => Number(/bytes=(\d+)-/.exec(line)?.[1] ?? 0));
    expect(ranges).toEqual([0, 1_000_000, 3_000_000]);
    const starts = events.filter((event) => event.status === 'download').map(({ loaded }) => loaded);
    expect(starts).toEqual([0, 1_000_000, 3_000_000]);
    expect(cached()).toHaveLength(1);
  });

  it('that always breaks off is given up, and a later call goes on where it stopped', async () => {
    hub.faults.push({ cutAfter: 500_000 });
    const error = await failure(ID, { retries: 0 });
    expect(['TRUNCATED', 'NETWORK']).toContain(error.problem);
    expect(error.message).toContain(PATH);
    expect(cached().filter((name) => name.endsWith('.part'))).toHaveLength(1);
    expect(await isCached(ID, options)).toBe(false);
    await load(ID, options);
    expect(bytesAsked().at(-1)).toMatch(/bytes=500000-$/);
    expect(cached()).toHaveLength(1);
  });

  it('that knows no ranges is read from the beginning', async () => {
    hub.faults.push({ cutAfter: 500_000 }, { ignoreRange: true });
    expect((await load(ID, options)).metadata.sourceSha256).toBe(sha256(file));
    expect(bytesAsked()).toHaveLength(2);
  });

  it('whose file changed meanwhile is read from the beginning', async () => {
    hub.faults.push({ cutAfter: 500_000 });
    await failure(ID, { retries: 0 });
    const { state } = buildTorchNetwork('mobilenetv2_100 of timm', 1, 32, 1000);
    (state.get('classifier.bias')!.data as Float32Array).fill(1);
    const other = writeSafetensors(state);
    hub.files.set(PATH, other);
    expect((await load(ID, options)).metadata.sourceSha256).toBe(sha256(other));
  });

  it('with a file that was already complete is asked for nothing more', async () => {
    hub.faults.push({ stallAfter: file.length });
    // All bytes came, but the answer never ended: the length said that this was all.
    await load(ID, { ...options, stallTimeout: 300 });
    expect(bytesAsked()).toHaveLength(1);
  });

  it('that states another hash is an error, and nothing is kept', async () => {
    hub.options = { wrongHash: 'ab'.repeat(32) };
    const error = await failure(ID);
    expect(error.problem).toBe('HASH');
    expect(error.message).toContain(`has the SHA-256 ${sha256(file)}; expected ${'ab'.repeat(32)}`);
    expect(hub.requests).toEqual([`GET ${PATH}`, `GET /stored${PATH}`]);
    expect(cached()).toEqual([]);
    hub.options = {};
    expect((await failure(ID, { sha256: 'CD'.repeat(32) })).message).toContain('cd'.repeat(32));
    expect((await load(ID, { ...options, sha256: sha256(file) })).isQuantized).toBe(true);
  });

  it('that altered what an earlier call left behind is asked once more for all of it', async () => {
    hub.faults.push({ cutAfter: 500_000 });
    await failure(ID, { retries: 0 });
    const part = cached().find((name) => name.endsWith('.part'))!;
    const path = join(options.cacheDir, ID, part);
    const damaged = readFileSync(path);
    damaged[1000]! ^= 1;
    writeFileSync(path, damaged);
    expect((await load(ID, options)).metadata.sourceSha256).toBe(sha256(file));
    expect(bytesAsked()).toHaveLength(3);
  });

  it('that states no hash in its answer is asked for its list of files', async () => {
    hub.options = { withoutHash: true, listing: true };
    await load(ID, options);
    expect(hub.requests.at(-1)).toBe('GET /api/models/timm/mobilenetv2_100.ra_in1k/tree/main');
    expect(events.find(({ status }) => status === 'done')).toMatchObject({ verified: true });
    hub.options = { withoutHash: true };
    await load(ID, { ...options, bits: 3 });
    expect(events.filter(({ status }) => status === 'done').at(-1)).toMatchObject({ verified: false });
  });

  it('that has no such file is an error at once', async () => {
    hub.files.clear();
    const error = await failure(ID);
    expect(error).toMatchObject({ problem: 'HTTP_STATUS', status: 404, code: 'DOWNLOAD' });
    expect(error.message).toBe(`${hub.url}${PATH}: the server answered 404; expected 200`);
    expect(hub.requests).toHaveLength(1);
    expect(cached()).toEqual([]);
  });

  it('that is busy is asked again, as often as said', async () => {
    hub.faults.push({ status: 503 }, { status: 429 });
    await load(ID, options);
    expect(bytesAsked()).toHaveLength(3);
    hub.faults.push({ status: 500 }, { status: 500 });
    expect(await failure(ID, { bits: 3, retries: 1 })).toMatchObject({ problem: 'HTTP_STATUS', status: 500 });
  });

  it('that stalls is given up after the time said, and asked for the rest', async () => {
    hub.faults.push({ stallAfter: 300_000 });
    const started = Date.now();
    expect((await load(ID, { ...options, stallTimeout: 250 })).isQuantized).toBe(true);
    expect(bytesAsked().at(-1)).toMatch(/bytes=300000-$/);
    hub.faults.push({ stallAfter: 0 });
    const error = await failure(ID, { bits: 3, stallTimeout: 250, retries: 0 });
    expect(error.problem).toBe('STALLED');
    expect(error.message).toMatch(/sent nothing for 250 ms/);
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  it('that cannot be reached is an error that names it', async () => {
    const gone = await startHub();
    await gone.close();
    const error = await failure(ID, { baseUrl: gone.url, retries: 1 });
    expect(error.problem).toBe('NETWORK');
    expect(error.message).toContain(gone.url);
  });

  it('that redirects in circles, or away from http, is refused', async () => {
    const { createServer } = await import('node:http');
    let location = '/again';
    const server = createServer((_, response) => response.writeHead(302, { Location: location }).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/x.safetensors`;
    expect((await failure(ID, { url })).message).toMatch(/redirected more than 10 times/);
    location = 'file:///etc/hostname';
    expect(await failure(ID, { url })).toMatchObject({ problem: 'REDIRECT' });
    server.close();
  });

  it('with a file of something else leaves nothing in the cache', async () => {
    hub.files.set(PATH, new TextEncoder().encode('<html>Please log in</html>'));
    await expect(load(ID, options)).rejects.toThrow(FileFormatError);
    const { state } = buildTorchNetwork('resnet18', 1, 64, 1000);
    hub.files.set(PATH, writeSafetensors(state));
    await expect(load(ID, options)).rejects.toThrow(/'features\.0\.0\.weight' is missing/);
    expect(cached()).toEqual([]);
  });
});

describe('a signal', () => {
  it('stops a download, which a later call takes up', async () => {
    hub.faults.push({ stallAfter: 400_000 });
    const controller = new AbortController();
    const loading = load(ID, {
      ...options,
      signal: controller.signal,
      onProgress: (event) => {
        if (event.status === 'progress' && event.loaded > 100_000) controller.abort(new Error('enough'));
      },
    });
    await expect(loading).rejects.toThrow('enough');
    await load(ID, options);
    expect(Number(/bytes=(\d+)-$/.exec(bytesAsked().at(-1)!)?.[1])).toBeGreaterThan(100_000);
  });
});
