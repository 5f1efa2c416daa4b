/** `--model` with the id of a network that is not in the package: downloaded once, then read from the cache. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createArchitecture } from '@dsconv/models';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type HubServer, startHub } from '../../../packages/converter/test/support/hub-server.js';
import { mobileNetModel, writeLayersModel } from '../../../packages/converter/test/support/source-files.js';
import { dsconv, pattern, temporaryFolder } from './support.js';

const ID = 'mobilenet_v1_0.25.keras_in1k';
const folder = temporaryFolder();
const picture = join(folder, 'picture.png');
let hub: HubServer;
let count = 0;

beforeAll(async () => {
  hub = await startHub();
  const architecture = createArchitecture('mobilenet_v1_0.25');
  const files = writeLayersModel(join(folder, 'keras'), architecture, mobileNetModel(architecture));
  for (const name of readdirSync(files)) {
    hub.files.set(`/tfjs-models/tfjs/mobilenet_v1_0.25_224/${name}`, readFileSync(join(files, name)));
  }
  await pattern().png().toFile(picture);
});

beforeEach(() => {
  hub.requests.length = 0;
  vi.stubEnv('DSCONV_HUB', hub.url);
  vi.stubEnv('DSCONV_CACHE', join(folder, `cache-${count++}`));
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.close();
});

describe('a network of the zoo', () => {
  it('is downloaded by classify, and read from the cache the second time', async () => {
    const run = await dsconv('classify', picture, '--model', ID, '--json');
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(hub.requests.length).toBeGreaterThan(2);
    const { results } = run.json<{ results: { top: { label: string }[] }[] }>();
    expect(results[0]!.top).toHaveLength(5);
    hub.requests.length = 0;
    const again = await dsconv('classify', picture, '--model', ID);
    expect(again.code).toBe(0);
    expect(again.out).toContain(results[0]!.top[0]!.label);
    expect(hub.requests).toEqual([]);
    const inspected = await dsconv('inspect', ID, '--json');
    expect(inspected.json()).toMatchObject({ architecture: 'mobilenet_v1_0.25', quantized: true });
    expect(hub.requests).toEqual([]);
  });

  it('that cannot be had is one sentence', async () => {
    const run = await dsconv('classify', picture, '--model', 'mobilenet_v1_0.5.keras_in1k');
    expect(run.code).toBe(1);
    expect(run.err).toMatch(
      /^error: http:\/\/127\.0\.0\.1:\d+\/tfjs-models\/tfjs\/mobilenet_v1_0\.50_224\/model\.json: the server answered 404; expected 200\n$/,
    );
    const own = await dsconv('classify', picture, '--model', 'alexnet.tv_in1k', '--json');
    expect(own.json()).toMatchObject({ error: { code: 'MODEL_NOT_SHIPPED' } });
    expect(hub.requests).toHaveLength(1);
  });
});
