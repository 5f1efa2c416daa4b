/** After the first visit the page needs no server. */
import { expect, it } from 'vitest';
import { answers, chooseSample, expectNothingUncaught, openPage, settled } from './support/page.js';

it('reloads, answers, quantizes and compares without a network', async () => {
  const open = await openPage('?bits=3&block=64&sample=00002-trouser.png');
  const { page } = open;
  await settled(page);
  const online = await answers(page);
  // Ready means installed, which means that every file is kept.
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.context().setOffline(true);
  await page.reload();
  expect(await answers(page)).toEqual(online);
  await settled(page);
  for (const which of ['backend', 'compare'] as const) {
    const other = which === 'backend' ? 'dsconv-cpu/wasm-simd' : 'cpu';
    await page.selectOption(`#${which}`, other);
    await chooseSample(page, '00018-bag.png');
    const [best] = await answers(page, which === 'backend' ? 'quantized' : 'float');
    expect(best).toMatchObject({ label: 'Bag' });
  }
  await page.locator('#files button').first().click();
  await page.locator('#quantized-form', { hasText: '4 bits' }).waitFor();
  expectNothingUncaught(open);
  await open.close();
});
