/**
 * `npm run bench:web`: how long someone waits for a class on the page, in a real Chromium, into docs/benchmarks/web.json. After `npm run build`; half a minute.
 *
 * Every time is from what the person does (opens the page, clicks a sample) to the frame that shows the new class. Cold: nothing is kept. Warm: the page has
 * been here before, and its service worker answers. The network is the one in the package, on dsconv-cpu.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { chromium } from 'playwright';
import { preview } from 'vite';
import { CHROMIUM_FLAGS } from '../scripts/chromium-flags.mjs';
import { ensureChromium } from '../scripts/ensure-chromium.mjs';
import { machine } from './machine.mjs';

const OUT = new URL('../docs/benchmarks/', import.meta.url);
const ROOT = new URL('../apps/web/', import.meta.url).pathname;
/** Visits, each with so many samples chosen one after the other. */
const [VISITS, CHOICES] = [7, 6];
/** What choosing a picture from a warm cache has to stay below, in milliseconds. */
const LIMIT = 1000;

const { path, reason } = await ensureChromium();
if (!path) {
  console.error(`error: ${reason}`);
  process.exit(1);
}
const server = await preview({ root: ROOT, logLevel: 'error', preview: { port: 0, host: '127.0.0.1' } });
const url = server.resolvedUrls.local[0];
const browser = await chromium.launch({ executablePath: path, args: CHROMIUM_FLAGS });
const loadBefore = loadavg()[0];
const times = { coldOpen: [], warmOpen: [], warmFirstChoice: [], warmChoice: [] };
try {
  for (let visit = 0; visit < VISITS; visit++) {
    const context = await browser.newContext();
    times.coldOpen.push(await timeOpening(await context.newPage()));
    const [page] = context.pages();
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.close();
    const warm = await context.newPage();
    times.warmOpen.push(await timeOpening(warm));
    await warm.close();
    await timeChoices(await context.newPage());
    await context.close();
    console.error(`visit ${visit + 1} of ${VISITS}`);
  }
} finally {
  await browser.close();
  await server.close();
}
const rows = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summary(values)]));
const result = {
  machine: { ...machine(), browser: browser.version(), loadBefore, loadAfter: loadavg()[0] },
  network: 'resnet20.fashion_mnist',
  backend: 'dsconv-cpu',
  unit: 'ms',
  limit: { of: ['warmFirstChoice', 'warmChoice'], milliseconds: LIMIT },
  isWithinLimit: Math.max(rows.warmFirstChoice.max, rows.warmChoice.max) <= LIMIT,
  ...rows,
};
await mkdir(OUT, { recursive: true });
await writeFile(new URL('web.json', OUT), `${JSON.stringify(result, null, 1)}\n`);
console.log(JSON.stringify(result, null, 1));
console.error('wrote docs/benchmarks/web.json');

/** From the start of the navigation to the class of the sample that the page begins with. */
async function timeOpening(page) {
  await page.goto(url, { waitUntil: 'commit' });
  return page.evaluate(() => {
    return new Promise((resolve) => {
      const look = () => {
        if (document.querySelector('#quantized-classes:not([aria-busy]) .label')) {
          requestAnimationFrame(() => resolve(performance.now()));
        } else requestAnimationFrame(look);
      };
      look();
    });
  });
}

/** On a page that has just been opened: the first choice as soon as there is something to choose, then one after the other. */
async function timeChoices(page) {
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator('#samples button').nth(CHOICES).waitFor();
  for (let n = 0; n < CHOICES; n++) {
    const time = await page.evaluate(choose, n + 1);
    (n === 0 ? times.warmFirstChoice : times.warmChoice).push(time);
    // Someone looks at the answer before choosing the next picture.
    await page.waitForTimeout(400);
  }
}

/** In the page: clicks a sample. @returns milliseconds until the frame that shows its classes */
function choose(n) {
  return new Promise((resolve) => {
    const started = performance.now();
    document.querySelectorAll('#samples button')[n].click();
    const look = () => {
      if (document.querySelector('#quantized-classes:not([aria-busy]) .label')) {
        requestAnimationFrame(() => resolve(performance.now() - started));
      } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}

function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const round = (value) => Math.round(value * 10) / 10;
  return {
    median: round(sorted[sorted.length >> 1]),
    min: round(sorted[0]),
    max: round(sorted.at(-1)),
    count: sorted.length,
  };
}
