/** Every way to a picture, and what is said when it is none. */
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { LABELS, samplePath } from './support/expected.js';
import { alertText, answers, chooseSample, expectNothingUncaught, sharedPage } from './support/page.js';

const open = sharedPage('', { permissions: ['camera'] });

const BAG = LABELS.find(({ label }) => label === 'Bag')!;
const BAG_BYTES = [...readFileSync(samplePath(BAG.file))];

beforeEach(async () => {
  await chooseSample(open.page, LABELS[0]!.file);
  expect((await answers(open.page))[0]).toMatchObject({ label: 'Ankle boot' });
});

describe('a picture', () => {
  it('can be uploaded, several at once, and joins the sample set', async () => {
    const { page } = open;
    await page.setInputFiles('#file', [samplePath(LABELS[2]!.file), samplePath(BAG.file)]);
    await page.locator('#status', { hasText: 'Bag' }).waitFor();
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    expect(await page.locator('#samples li').count()).toBe(LABELS.length + 2);
    await page.locator('#tile-agreement', { hasText: `of ${LABELS.length + 2}` }).waitFor();
    // Nobody has said what they show.
    expect(await page.locator('#tile-accuracy').textContent()).toContain(`of ${LABELS.length}`);
  });

  it('can be pasted', async () => {
    await open.page.evaluate((bytes) => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
      document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
    }, BAG_BYTES);
    await open.page.locator('#status', { hasText: 'Bag' }).waitFor();
  });

  it('can be dropped anywhere on the page', async () => {
    await open.page.evaluate((bytes) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
      document.body.dispatchEvent(
        new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true }),
      );
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }, BAG_BYTES);
    await open.page.locator('#status', { hasText: 'Bag' }).waitFor();
  });

  it('can be taken by the camera, whose dialog can be left', async () => {
    const { page } = open;
    const before = await page.locator('#samples li').count();
    await page.click('#camera');
    await page.locator('#camera-dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#camera-dialog:not([open])').waitFor({ state: 'attached' });
    expect(await page.locator('#samples li').count()).toBe(before);
    await page.click('#camera');
    await page.waitForFunction(() => document.querySelector('video')!.videoWidth > 0);
    await page.click('#camera-take');
    await page.locator('#preview[alt="Camera"]').waitFor();
    expect(await answers(page)).toHaveLength(5);
    expect(await page.locator('#samples li').count()).toBe(before + 1);
    expect(await page.evaluate(() => document.querySelector('video')!.srcObject)).toBeNull();
  });

  it('that is a text file is named, and the next one works', async () => {
    const { page } = open;
    const before = await page.locator('#samples li').count();
    await page.setInputFiles('#file', {
      name: 'notes.txt',
      mimeType: 'text/plain',
      buffer: Buffer.from('no picture'),
    });
    expect(await alertText(page)).toBe(
      '“notes.txt” cannot be read as a picture; expected a JPEG, PNG, WebP, GIF or AVIF file',
    );
    expect(await page.locator('#samples li').count()).toBe(before);
    // What was there before stays.
    expect((await answers(page))[0]).toMatchObject({ label: 'Ankle boot' });
    await page.setInputFiles('#file', { name: 'empty.png', mimeType: 'image/png', buffer: Buffer.alloc(0) });
    await page.locator('#alert', { hasText: '“empty.png” is empty' }).waitFor();
    await page.click('#alert .close');
    expect(await page.locator('#alert .message').count()).toBe(0);
    await chooseSample(page, BAG.file);
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    expectNothingUncaught(open);
  });

  it('with dark and light swapped is another picture', async () => {
    const { page } = open;
    const [before] = await answers(page);
    await page.check('#invert');
    expect(page.url()).toContain('invert=1');
    const [after] = await answers(page);
    expect(after).not.toEqual(before);
    await page.uncheck('#invert');
    expect((await answers(page))[0]).toEqual(before);
  });
});
