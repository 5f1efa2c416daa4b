/** Networks that do not lie in the page: of the zoo, from a mirror on this machine, and by address. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createArchitecture, writeNetwork } from '@dsconv/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HubServer, startHub } from '../../../../packages/converter/test/support/hub-server.js';
import { scratchFolder } from '../../../../packages/converter/test/support/scratch-folder.js';
import {
  mobileNetModel,
  writeLayersModel,
} from '../../../../packages/converter/test/support/source-files.js';
import { LABELS, networks, samplePath, shippedBytes } from './support/expected.js';
import { alertText, answers, expectNothingUncaught, openPage, settled } from './support/page.js';

/** Its weights here are random: what it says means nothing. */
const ID = 'mobilenet_v1_0.25.keras_in1k';
const PATH = '/tfjs-models/tfjs/mobilenet_v1_0.25_224/';
const scratch = scratchFolder();

/** Files of the server that are not the zoo's. */
const OTHERS = 3;

let hub: HubServer;

beforeAll(async () => {
  hub = await startHub();
  hub.options = { listing: true, crossOrigin: true };
  const architecture = createArchitecture('mobilenet_v1_0.25');
  const folder = writeLayersModel(join(scratch, 'keras'), architecture, mobileNetModel(architecture));
  for (const name of readdirSync(folder)) hub.files.set(PATH + name, readFileSync(join(folder, name)));
  const { quantized, float } = await networks();
  hub.files.set('/small.safetensors', writeNetwork(quantized));
  hub.files.set('/float.safetensors', writeNetwork(float));
  hub.files.set('/broken.safetensors', writeNetwork(quantized).slice(0, 5000));
});

afterAll(() => hub?.close());

describe('a network of the zoo', () => {
  it('is downloaded when someone agrees, quantized here, and answers; its weights are kept for later', async () => {
    const search = `?network=${ID}&base=${encodeURIComponent(hub.url)}&bits=8&block=64`;
    const open = await openPage(search);
    const { page } = open;
    await page.evaluate(() => navigator.serviceWorker.ready);
    expect(hub.requests).toEqual([]);
    await page.locator('#download', { hasText: 'Download 1.87 MB' }).click();
    await page.locator('#progress-task', { hasText: /Downloading|Quantizing/ }).waitFor();
    await page.locator('#network-note', { hasText: 'mobilenet_v1_0.25, 1000 classes' }).waitFor();
    await page.locator('#tile-bits', { hasText: /^8\./ }).waitFor();
    expect(await page.locator('#samples li').count()).toBe(0);
    await page.setInputFiles('#file', samplePath(LABELS[0]!.file));
    expect(await answers(page)).toHaveLength(5);
    expect(await answers(page, 'float')).toHaveLength(5);
    await page.locator('#tile-agreement', { hasText: 'of 1' }).waitFor();
    expect(await page.locator('#tile-accuracy').textContent()).toBe('–');

    const asked = hub.requests.length;
    expect(asked).toBe(hub.files.size - OTHERS);
    await page.context().setOffline(true);
    await page.reload();
    await page.locator('#download').click();
    await page.locator('#tile-bits', { hasText: /^8\./ }).waitFor();
    expect(hub.requests).toHaveLength(asked);
    expectNothingUncaught(open);
    await open.close();
  });
});

describe('a network by address', () => {
  it('may be quantized: its bytes are those of the file', async () => {
    const open = await openPage(`?url=${encodeURIComponent(`${hub.url}/small.safetensors`)}`);
    const { page } = open;
    await page.locator(`#tile-size[data-value="${shippedBytes()}"]`).waitFor();
    expect(await page.locator('#network').inputValue()).toBe('url');
    expect(await page.locator('#url').inputValue()).toBe(`${hub.url}/small.safetensors`);
    await page.setInputFiles('#file', samplePath('00018-bag.png'));
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    await open.close();
  });

  it('may be float, given in the form, and is quantized here', async () => {
    const open = await openPage();
    const { page } = open;
    await settled(page);
    await page.selectOption('#network', 'url');
    await page.fill('#url', `${hub.url}/float.safetensors`);
    await page.locator('#url-form button').click();
    await page.locator('#quantized-form', { hasText: '4 bits, blocks of 64' }).waitFor();
    expect(await page.locator('#float-origin').count()).toBe(0);
    expect(await page.locator('#files').isVisible()).toBe(false);
    await page.setInputFiles('#file', samplePath('00018-bag.png'));
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    await open.close();
  });

  it('that is wrong is a message, and another network works', async () => {
    const open = await openPage(`?url=${encodeURIComponent(`${hub.url}/nowhere.safetensors`)}`);
    const { page } = open;
    expect(await alertText(page)).toContain('/nowhere.safetensors answered with status 404; expected 200');
    await page.fill('#url', `${hub.url}/broken.safetensors`);
    await page.locator('#url-form button').click();
    await page.locator('#alert', { hasText: /broken\.safetensors.*expected/ }).waitFor();
    await page.fill('#url', 'http://127.0.0.1:9/nothing.safetensors');
    await page.locator('#url-form button').click();
    await page.locator('#alert', { hasText: 'cannot be fetched' }).waitFor();
    await page.selectOption('#network', 'resnet20.fashion_mnist');
    await settled(page);
    expect((await answers(page))[0]).toMatchObject({ label: 'Ankle boot' });
    expectNothingUncaught(open);
    await open.close();
  });
});
