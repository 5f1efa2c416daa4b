/** A sample gives the right class on every backend that this browser has, and the numbers are those that Node computes. */
import { describe, expect, it } from 'vitest';
import { ID, LABELS, networks, samplePicture } from './support/expected.js';
import { answers, chooseSample, expectNothingUncaught, isRequired, sharedPage } from './support/page.js';

const open = sharedPage();

/** Two that no network confuses. */
const PICTURES = LABELS.filter(({ label }) => ['Trouser', 'Bag'].includes(label)).slice(1, 3);

/** A GPU of software takes seconds for each. */
const picturesFor = (backend: string) => (backend.startsWith('webgpu') ? PICTURES.slice(0, 1) : PICTURES);

/** Backends of a list that this browser can use. */
async function offered(id: 'backend' | 'compare'): Promise<string[]> {
  const options = open.page.locator(`#${id} option:not([disabled])`);
  return options.evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
}

describe('a sample', () => {
  it('has the right class on each of DSConv’s backends', async () => {
    const { page } = open;
    const names = await offered('backend');
    expect(names).toEqual(expect.arrayContaining(['dsconv-cpu', 'dsconv-cpu/wasm-simd', 'dsconv-cpu/js']));
    if (isRequired('webgpu')) expect(names).toContain('webgpu');
    // The shaders of each tier have their own tests; here it takes long to compile them all.
    for (const name of names.filter((one) => !one.startsWith('webgpu/'))) {
      await page.selectOption('#backend', name);
      for (const { file, label } of picturesFor(name)) {
        await chooseSample(page, file);
        const [best] = await answers(page);
        expect(best, `${file} on ${name}`).toMatchObject({ label });
      }
    }
    await page.selectOption('#backend', 'dsconv-cpu');
  });

  it('has the right class on each of TensorFlow.js’ backends, as float', async () => {
    const { page } = open;
    const names = await offered('compare');
    expect(names).toEqual(expect.arrayContaining(['wasm', 'cpu']));
    for (const name of names) {
      await page.selectOption('#compare', name);
      for (const { file, label } of picturesFor(name)) {
        await chooseSample(page, file);
        const [best] = await answers(page, 'float');
        expect(best, `${file} on ${name}`).toMatchObject({ label });
      }
    }
    await page.selectOption('#compare', 'wasm');
  });

  it('has the five most probable classes that Node computes', async () => {
    const { page } = open;
    const { quantized } = await networks();
    for (const { file } of LABELS.slice(3, 7)) {
      await chooseSample(page, file);
      const shown = await answers(page);
      const expected = await quantized.classify(await samplePicture(file), { topK: 5 });
      expect(shown).toHaveLength(5);
      expect(shown[0]!.label).toBe(expected[0]!.label);
      for (const { label, value } of shown) {
        const probability = expected.find((one) => one.label === label)?.probability ?? 0;
        expect(Number.parseFloat(value), `${label} of ${file}`).toBeCloseTo(100 * probability, 0);
      }
    }
  });

  it('is timed: the first run apart, then the median of many', async () => {
    const { page } = open;
    const times = page.locator('#quantized-times', { hasText: 'median of' });
    await times.waitFor();
    const text = (await times.textContent())!;
    expect(text).toMatch(/First run\d+(\.\d+)? ms, preparing included/);
    expect(text).toMatch(/Then\d+(\.\d+)? ms, median of \d+/);
    expect(text).toContain('a compiled plan, wasm-relaxed-simd');
    await page.locator('#tile-time', { hasText: 'ms' }).waitFor();
    expectNothingUncaught(open);
  });

  it('says where the network comes from', async () => {
    await expect(open.page.locator('#network').inputValue()).resolves.toBe(ID);
    const { isDequantized } = await networks();
    expect(await open.page.locator('#float-origin').count()).toBe(isDequantized ? 1 : 0);
  });
});
