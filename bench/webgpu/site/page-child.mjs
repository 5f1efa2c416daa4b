/** The parent's end of page.mjs: one Chromium per engine, with a GPU process of its own. The same interface as a `Child` of bench/cpu. */
import { CHROMIUM_FLAGS, SOFTWARE_WEBGPU_FLAGS } from '../../../scripts/chromium-flags.mjs';

/** By kind of adapter. Chromium on Linux computes on a GPU only where it draws with Vulkan too. */
export const ADAPTER_FLAGS = {
  hardware: [
    '--enable-unsafe-webgpu',
    '--enable-features=Vulkan',
    '--use-angle=vulkan',
    '--ignore-gpu-blocklist',
  ],
  software: SOFTWARE_WEBGPU_FLAGS,
};

export class PageChild {
  #options;
  #opened = null;

  /** @param {{ url: string, executablePath: string, flags: string[] }} options */
  constructor(options) {
    this.#options = options;
  }

  /** @throws Error with the page's message */
  async ask(command, parameters = {}) {
    this.#opened ??= this.#open();
    const { page } = await this.#opened;
    const { result, error } = await page.evaluate(
      ([name, given]) => globalThis.benchmark(name, given),
      [command, parameters],
    );
    if (error !== undefined) throw new Error(error);
    return result;
  }

  async stop() {
    const opened = await this.#opened?.catch(() => null);
    this.#opened = null;
    await opened?.browser.close();
  }

  async #open() {
    const { chromium } = await import('playwright');
    const { url, executablePath, flags } = this.#options;
    const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_FLAGS, ...flags] });
    const page = await browser.newPage();
    const failures = [];
    page.on('pageerror', (error) => failures.push(error.message));
    page.setDefaultTimeout(0);
    await page.goto(url);
    await page
      .waitForFunction(() => globalThis.benchmark, null, { timeout: 300_000 })
      .catch(() => {
        throw new Error(`the page did not start: ${failures[0] ?? 'no error was reported'}`);
      });
    return { browser, page };
  }
}
