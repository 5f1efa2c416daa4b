/** A GPU that goes away is a message with a way on. */
import type { Page, Worker } from 'playwright';
import { describe, expect, it } from 'vitest';
import {
  alertText,
  answers,
  chooseSample,
  expectNothingUncaught,
  isRequired,
  openPage,
  settled,
} from './support/page.js';

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

/** Each network, the list of its backends, and what it answers on. */
const NETWORKS = [
  ['quantized', 'backend'],
  ['float', 'compare'],
] as const;

describe('a device that is lost', () => {
  it.for(NETWORKS)('under the %s network is said, and another one taken', async ([which, list], { skip }) => {
    const open = await openPage();
    const { page } = open;
    await settled(page);
    const isOffered = (await page.locator(`#${list} option[value="webgpu"]:not([disabled])`).count()) > 0;
    if (!isOffered && !isRequired('webgpu'))
      skip((await page.locator('#backend-note').textContent()) ?? 'there is no WebGPU');
    const runner = runnerOf(page);
    await runner.evaluate(watchDevices);
    await page.selectOption(`#${list}`, 'webgpu');
    expect((await answers(page, which))[0]).toMatchObject({ label: 'Ankle boot' });
    // Timing would notice first, and give up by itself.
    await page.locator(`#${which}-times`, { hasText: 'median of' }).waitFor();
    const lost = await runner.evaluate(loseDevices);
    await chooseSample(page, '00018-bag.png');
    expect(await alertText(page)).toMatch(/GPU.* lost/);
    if (which === 'quantized') await page.getByRole('button', { name: 'Try again' }).click();
    else await chooseSample(page, '00018-bag.png');
    expect((await answers(page, which))[0]).toMatchObject({ label: 'Bag' });
    expect(await page.locator('#alert .message').count()).toBe(0);
    expect(await runner.evaluate(loseDevices)).toBeGreaterThan(lost);
    expectNothingUncaught(open);
    await open.close();
  });
});

/** In the runner: keeps every device that is made from now on. */
function watchDevices(): void {
  const scope = globalThis as unknown as WithDevices;
  const { prototype } = scope.GPUAdapter;
  scope.devices = [];
  const request = prototype.requestDevice;
  prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    scope.devices.push(device);
    return device;
  };
}

/** In the runner: the GPU goes away. @returns how many devices there were */
function loseDevices(): number {
  const { devices } = globalThis as unknown as WithDevices;
  for (const device of devices) device.destroy();
  return devices.length;
}
