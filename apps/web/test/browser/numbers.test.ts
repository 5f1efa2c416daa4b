/** Bytes, agreement, accuracy and signal-to-noise on the page against the same, computed in Node. */
import { quantizeNetwork, weightsOf } from '@dsconv/converter/in-memory';
import { decibels, plain } from '@dsconv/converter/report';
import { networkFileLength } from '@dsconv/models';
import { describe, expect, it } from 'vitest';
import { classes, LABELS, networks, shippedBytes, shippedSizes } from './support/expected.js';
import { expectNothingUncaught, setSlider, settled, sharedPage } from './support/page.js';

const open = sharedPage();

const tile = async (id: string): Promise<string> => (await open.page.locator(`#tile-${id}`).textContent())!;

async function bytesShown(): Promise<number> {
  return Number(await open.page.locator('#tile-size').getAttribute('data-value'));
}

describe('the numbers', () => {
  it('of the file as it came are its own', async () => {
    const { quantized, float } = await networks();
    expect(await bytesShown()).toBe(shippedBytes());
    const [ours, theirs] = [await classes(quantized), await classes(float)];
    const same = ours.filter((index, n) => index === theirs[n]).length;
    const right = ours.filter((index, n) => index === LABELS[n]!.labelIndex).length;
    expect(await tile('agreement')).toBe(`${same} of ${LABELS.length}`);
    expect(await tile('accuracy')).toBe(`${right} of ${LABELS.length}`);
    expect(await tile('bits')).toBe(((8 * quantized.kernelByteLength) / countOf(quantized)).toFixed(2));
  });

  it('move with the sliders, to what quantizing in Node gives', async () => {
    const { page } = open;
    const { float } = await networks();
    const { network, report } = await quantizeNetwork(float, { bits: 2, blockSize: 32 });
    const before = await bytesShown();
    await setSlider(page, 'bits', 2);
    await setSlider(page, 'block', 2);
    await page.locator(`#tile-size[data-value="${networkFileLength(network)}"]`).waitFor();
    await settled(page);
    expect(await bytesShown()).toBeLessThan(before);
    const [ours, theirs] = [await classes(network), await classes(float)];
    const same = ours.filter((index, n) => index === theirs[n]).length;
    expect(await tile('agreement')).toBe(`${same} of ${LABELS.length}`);
    expect(same).toBeLessThan(LABELS.length);

    const titles = await page
      .locator('#layers label')
      .evaluateAll((all) => all.map((label) => (label as HTMLElement).title));
    expect(titles).toEqual(
      report.layers.map(
        ({ name, bits, snrDb }) =>
          `${name}: ${bits} bits, ${snrDb === null ? 'nothing lost' : decibels(snrDb)}`,
      ),
    );
    expect(page.url()).toContain('bits=2&block=32');
    expect(await page.locator('#quantized-form').textContent()).toContain('2 bits, blocks of 32');
  });

  it('under the pointer in the maps are those of the weights', async () => {
    const { page } = open;
    const { float } = await networks();
    const { network } = await quantizeNetwork(float, { bits: 2, blockSize: 32 });
    const name = 'layer3.1.conv2';
    await page.selectOption('#layer', name);
    await page.locator('#layer-title', { hasText: name }).waitFor();
    const errors = page.locator('#errors');
    await errors.focus();
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown']) await page.keyboard.press(key);
    const [exact, found] = [float, network].map((one) => weightsOf(one, name)[2 * 64 + 1]!) as [
      number,
      number,
    ];
    expect(await page.locator('#readout').textContent()).toBe(
      `output 1, tap (0, 0), input 2: float ${plain(exact)}, stored ${plain(found)}, error ${plain(Math.abs(exact - found))}`,
    );
    const box = (await errors.boundingBox())!;
    await errors.hover({ position: { x: box.width - 8, y: (box.height * 10.5) / 64 } });
    expect(await page.locator('#readout').textContent()).toMatch(/^output 10, tap \(2, 2\), input \d\d: /);
  });

  it('mark the samples on which the networks differ', async () => {
    const marked = await open.page.locator('#samples .differs').count();
    const [same] = (await tile('agreement')).split(' of ').map(Number);
    expect(marked).toBe(LABELS.length - same!);
  });

  it('leave a trail, and go back to the file as it came', async () => {
    const { page } = open;
    expect(await page.locator('#trail title').count()).toBeGreaterThanOrEqual(2);
    await page.locator('#files button').first().click();
    await page.locator(`#tile-size[data-value="${shippedBytes()}"]`).waitFor();
    expect(page.url()).not.toContain('bits=');
    expectNothingUncaught(open);
  });

  it('of each file that came are those of a file in the package', async () => {
    const { page } = open;
    const buttons = page.locator('#files button');
    for (let n = (await buttons.count()) - 1; n >= 0; n--) {
      const bytes = Number(await buttons.nth(n).getAttribute('data-bytes'));
      expect(shippedSizes()).toContain(bytes);
      await buttons.nth(n).click();
      await page.locator(`#tile-size[data-value="${bytes}"]`).waitFor();
      await page.locator(`#files button[data-bytes="${bytes}"][aria-pressed="true"]`).waitFor();
    }
    expect(await bytesShown()).toBe(shippedBytes());
  });

  it('of all bits are tried one after the other, and it ends where it began', async () => {
    const { page } = open;
    await page.click('#sweep');
    await page.waitForFunction(() => document.querySelectorAll('#trail circle').length >= 7);
    await page.locator(`#tile-size[data-value="${shippedBytes()}"]`).waitFor();
    await settled(page);
    // Fewer bits, fewer bytes.
    const titles = await page.locator('#trail title').allTextContents();
    const sizes = [2, 3, 4, 5, 6, 7, 8].map((bits) =>
      Number(
        /: (\d+(\.\d+)?) kB/.exec(
          titles.find((title) => title.startsWith(`${bits} bits, blocks of 64:`))!,
        )![1],
      ),
    );
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expectNothingUncaught(open);
  });
});

function countOf({
  weights,
}: {
  weights: ReadonlyMap<string, { filter: { size?: number; length?: number } }>;
}): number {
  return [...weights.values()].reduce((sum, { filter }) => sum + (filter.size ?? filter.length!), 0);
}
