/** With a keyboard, with a screen reader, on a phone, in light and dark, from a link. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type axe from 'axe-core';
import type { Page } from 'playwright';
import { beforeAll, describe, expect, it } from 'vitest';
import { answers, expectNothingUncaught, openPage, settled, sharedPage } from './support/page.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe: checker } = globalThis as unknown as { axe: typeof axe };
    return (await checker.run()).violations;
  });
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

describe('the page', () => {
  const shown = sharedPage('?bits=2&block=16');

  beforeAll(() => answers(shown.page, 'float'));

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [width, height] of [
      [1280, 900],
      [360, 740],
    ] as const) {
      it(`has no fault that axe knows, ${colorScheme}, ${width} pixels wide, and fits`, async () => {
        const { page } = shown;
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height });
        expect(await violations(page)).toEqual([]);
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overflow).toBeLessThanOrEqual(0);
        expectNothingUncaught(shown);
      });
    }
  }

  it('works with a keyboard alone, and says what it finds', async () => {
    const open = await openPage();
    const { page } = open;
    await settled(page);
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Skip to the answers');
    await tabTo(page, (_, name) => name === 'Trouser');
    await page.keyboard.press('Enter');
    await page.locator('#status[role="status"]', { hasText: 'DSConv: Trouser' }).waitFor();

    await tabTo(page, (id) => id === 'bits');
    await page.keyboard.press('ArrowLeft');
    await page.locator('#quantized-form', { hasText: '3 bits' }).waitFor();
    await settled(page);

    await tabTo(page, (_, name) => name.startsWith('layer2.0.conv2:'));
    await page.keyboard.press('ArrowRight');
    await page.locator('#layer-title', { hasText: 'layer2.1.conv1' }).waitFor();
    expect(page.url()).toContain('layer=layer2.1.conv1');

    await tabTo(page, (id) => id === 'errors');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    const readout = await page.locator('#readout').textContent();
    expect(readout).toMatch(/^output 1, tap \(0, 0\), input 1: float \S+, stored \S+, error \S+$/);
    expectNothingUncaught(open);
    await open.close();
  });

  it('shows from a link what its sender saw', async () => {
    const search =
      '?bits=5&block=16&backend=dsconv-cpu%2Fwasm-simd&compare=cpu&layer=layer3.0.conv1&sample=00030-bag.png';
    const open = await openPage(search);
    const { page } = open;
    await settled(page);
    expect((await answers(page))[0]).toMatchObject({ label: 'Bag' });
    expect(await page.locator('#bits').inputValue()).toBe('5');
    expect(await page.locator('#block-value').textContent()).toBe('16');
    expect(await page.locator('#backend').inputValue()).toBe('dsconv-cpu/wasm-simd');
    expect(await page.locator('#compare').inputValue()).toBe('cpu');
    expect(await page.locator('#layer-title').textContent()).toBe('layer3.0.conv1');
    expect(await page.locator('#quantized-times').textContent()).toContain('wasm-simd');
    expect(await page.locator('#samples [aria-pressed="true"] img').getAttribute('alt')).toBe('Bag');
    expect(new URL(page.url()).search).toBe(search);
    await open.close();
  });
});

/** Name of the focused element, as far as this page's go. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const label = (element as HTMLInputElement).labels?.[0]?.textContent;
    return (element.querySelector('img')?.alt ?? label ?? element.textContent ?? '').trim();
  });
}

async function tabTo(page: Page, wanted: (id: string, name: string) => boolean): Promise<void> {
  for (let step = 0; step < 80; step++) {
    await page.keyboard.press('Tab');
    const id = await page.evaluate(() => document.activeElement?.id ?? '');
    if (wanted(id, await focused(page))) return;
  }
  throw new Error('nothing of that kind can be reached with the tabulator key');
}
