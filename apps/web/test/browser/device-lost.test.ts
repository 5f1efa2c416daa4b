/** A GPU that goes away is a message with a way on. */
import type { Browser, Page, Worker } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  alertText,
  answers,
  chooseSample,
  expectNothingUncaught,
  isRequired,
  launch,
  type OpenPage,
  openPage,
  settled,
} from './support/page.js';

let browser: Browser;
let open: OpenPage;

beforeAll(async () => {
  browser = await launch();
  open = await openPage(browser);
  await settled(open.page);
});

afterAll(() => browser?.close());

/** The worker that runs pictures: the one that knows TensorFlow.js' WebGPU. */
function runnerOf(page: Page): Worker {
  const found = page.workers().find((worker) => worker.url().includes('runner'));
  if (!found) throw new Error('the page has no runner');
  return found;
}

interface WithDevices {
  devices: { destroy(): void }[];
  GPUAdapter: { prototype: { requestDevice(...args: unknown[]): Promise<{ destroy(): void }> } };
}

describe('a device that is lost', () => {
  it('is said, and another one taken', async ({ skip }) => {
    const { page } = open;
    const isOffered = (await page.locator('#backend option[value="webgpu"]:not([disabled])').count()) > 0;
    if (!isOffered && !isRequired('webgpu'))
      skip((await page.locator('#backend-note').textContent()) ?? 'there is no WebGPU');
    const runner = runnerOf(page);
    await runner.evaluate(() => {
      const scope = globalThis as unknown as WithDevices;
      scope.devices = [];
      const { prototype } = scope.GPUAdapter;
      const request = prototype.requestDevice;
      prototype.requestDevice = async function (...args) {
        const device = await request.apply(this, args);
        scope.devices.push(device);
        return device;
      };
    });
    await page.selectOption('#backend', 'webgpu');
    await page.locator('#quantized-times', { hasText: 'median of' }).waitFor();
    expect((await answers(page))[0]).toMatchObject({ label: 'Ankle boot' });
    await runner.evaluate(() => {
      for (const device of (globalThis as unknown as WithDevices).devices) device.destroy();
    });
    await chooseSample(page, '00018-bag.png');
    expect(await alertText(page)).toMatch(/GPU.* lost/);
    await page.getByRole('button', { name: 'Try again' }).click();
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    expect(await page.locator('#alert .message').count()).toBe(0);
    expect(
      await runner.evaluate(() => (globalThis as unknown as WithDevices).devices.length),
    ).toBeGreaterThan(1);
    expectNothingUncaught(open);
  });
});
