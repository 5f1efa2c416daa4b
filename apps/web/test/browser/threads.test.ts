/** Threads where the page is cross-origin isolated, by its host or by its service worker, and one where it is not. */
import type { Page } from 'playwright';
import { describe, expect, inject, it } from 'vitest';
import { answers, chooseSample, expectNothingUncaught, openPage, settled } from './support/page.js';

/** As many as DSConv takes in a browser; a machine of one core shows that there is one and no reason why not more. */
const expectedThreads = (page: Page) => page.evaluate(() => Math.min(8, navigator.hardwareConcurrency));

const isIsolated = (page: Page) => page.evaluate(() => crossOriginIsolated);

const words = (count: number) => `${count} thread${count === 1 ? '' : 's'}`;

/** A picture that no network confuses is right, and its times say how many threads there were. */
async function expectAnswer(page: Page, threads: number): Promise<void> {
  await chooseSample(page, '00018-bag.png');
  expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
  const times = page.locator('#quantized-times', { hasText: 'median of' });
  await times.waitFor();
  expect(await times.textContent()).toMatch(new RegExp(`, wasm-(relaxed-)?simd, ${words(threads)}$`));
}

const option = (page: Page) => page.locator('#backend option[value="dsconv-cpu"]').textContent();

/** Of a list that is there. */
const note = async (page: Page) => {
  await page.locator('#backend option', { hasText: 'WebAssembly' }).waitFor({ state: 'attached' });
  return page.locator('#backend-note').textContent();
};

/** @returns how many threads an isolated page says that DSConv has: all that there are, and nothing to explain */
async function expectAll(page: Page): Promise<number> {
  expect(await isIsolated(page)).toBe(true);
  const threads = await expectedThreads(page);
  expect(await note(page)).not.toContain('DSConv on the CPU has');
  expect(await option(page)).toBe(`CPU, WebAssembly (${words(threads)})`);
  await expectAnswer(page, threads);
  return threads;
}

describe('DSConv on WebAssembly', () => {
  it('has as many threads as the machine, on a host that isolates the page', async () => {
    const open = await openPage();
    const { page } = open;
    await settled(page);
    const threads = await expectAll(page);
    await page.selectOption('#backend', 'dsconv-cpu/wasm-simd');
    await expectAnswer(page, threads);
    // TensorFlow.js takes half of them, and can start them.
    const float = page.locator('#float-times', { hasText: 'median of' });
    await float.waitFor();
    expect(await float.textContent()).toMatch(
      new RegExp(`as TensorFlow.js runs it, ${words(Math.max(1, Math.min(4, threads >> 1)))}$`),
    );
    expect((await answers(page, 'float'))[0]).toMatchObject({ label: 'Bag' });
    expect(page.workers().some((worker) => worker.url().startsWith('blob:'))).toBe(true);
    expectNothingUncaught(open);
    await open.close();
  });

  it('has one thread on another host, says why, and more when the page is loaded again', async () => {
    const open = await openPage('', {}, inject('plainUrl'));
    const { page } = open;
    await settled(page);
    expect(await isIsolated(page)).toBe(false);
    expect(await note(page)).toMatch(
      /DSConv on the CPU has 1 thread: browsers share memory only in pages .* Once it is loaded again/,
    );
    expect(await option(page)).toBe('CPU, WebAssembly (1 thread)');
    await expectAnswer(page, 1);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload();
    await settled(page);
    await expectAll(page);
    expectNothingUncaught(open);
    await open.close();
  });

  it('has one thread without a service worker, and computes as ever', async () => {
    const open = await openPage('', { serviceWorkers: 'block' }, inject('plainUrl'));
    const { page } = open;
    await settled(page);
    await page.reload();
    await settled(page);
    expect(await isIsolated(page)).toBe(false);
    await expectAnswer(page, 1);
    expectNothingUncaught(open);
    await open.close();
  });
});
