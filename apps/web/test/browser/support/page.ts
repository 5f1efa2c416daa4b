/** The page in a real Chromium, and what tests ask of it. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, expect, inject } from 'vitest';

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // WebGPU where no GPU is, and a camera that shows a test picture.
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];

/** Everything here may be slow: the GPU is software, and the machine may be busy. */
export const PATIENCE = 90_000;

/** One for all tests of a file, started by the first page. */
let browser: Browser | undefined;

afterAll(() => browser?.close());

export interface OpenPage {
  page: Page;
  /** What went wrong without anyone saying so: errors nobody caught. */
  errors: string[];
  close(): Promise<void>;
}

/**
 * @param search the part of the address behind '?', with it
 * @param url of the page, by default on a host that isolates it
 */
export async function openPage(
  search = '',
  options: BrowserContextOptions = {},
  url = inject('webUrl'),
): Promise<OpenPage> {
  browser ??= await chromium.launch({ executablePath: process.env.DSCONV_CHROMIUM!, args: FLAGS });
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  await page.goto(`${url}${search}`);
  return { page, errors, close: () => context.close() };
}

/** A page that the tests of a file or a `describe` share: open and settled before the first of them. */
export function sharedPage(search?: string, options?: BrowserContextOptions): OpenPage {
  const shared = {} as OpenPage;
  beforeAll(async () => {
    Object.assign(shared, await openPage(search, options));
    await settled(shared.page);
  });
  afterAll(() => shared.close?.());
  return shared;
}

export interface Answer {
  label: string;
  /** As it is written, such as '99.6 %'. */
  value: string;
}

/** The classes on a card, once they are about the present picture. */
export async function answers(page: Page, which: 'quantized' | 'float' = 'quantized'): Promise<Answer[]> {
  const list = page.locator(`#${which}-classes:not([aria-busy]) li:not(.empty)`);
  await list.first().waitFor();
  return list.evaluateAll((items) =>
    items.map((item) => ({
      label: item.querySelector('.label')!.textContent!,
      value: item.querySelector('.value')!.textContent!,
    })),
  );
}

export async function chooseSample(page: Page, name: string): Promise<void> {
  await page.locator(`#samples button[data-name="${name}"]`).click();
}

/** Waits until the network is open and compared on its samples. */
export async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    () => {
      const tile = document.getElementById('tile-agreement');
      return tile?.textContent !== '…' && tile?.parentElement?.getAttribute('aria-busy') === null;
    },
    null,
    { timeout: PATIENCE },
  );
}

export async function alertText(page: Page): Promise<string> {
  await page.locator('#alert .message').waitFor();
  return (await page.locator('#alert p').textContent())!;
}

export async function setSlider(page: Page, id: 'bits' | 'block', value: number): Promise<void> {
  await page.locator(`#${id}`).fill(`${value}`);
}

export function expectNothingUncaught({ errors }: OpenPage): void {
  expect(errors).toEqual([]);
}

/** Whether `DSCONV_REQUIRE` lists a backend, so that its absence is a failure. */
export function isRequired(backend: string): boolean {
  return (process.env.DSCONV_REQUIRE ?? '').split(',').includes(backend);
}
