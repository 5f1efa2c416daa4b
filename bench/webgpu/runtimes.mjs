/** Where engines run: Node processes on Dawn, or pages in Chromium. */
import { ensureChromium } from '../../scripts/ensure-chromium.mjs';
import { Child } from '../cpu/child.mjs';
import { ENGINES } from './engines.mjs';
import { ADAPTER_FLAGS, PageChild } from './site/page-child.mjs';
import { startSite } from './site/server.mjs';

export const RUNTIMES = { node: 'Node', chromium: 'Chromium' };

/**
 * @typedef {object} Runtime
 * @property {string} name of {@link RUNTIMES}
 * @property {object | null} adapter that engines get, see commands.mjs
 * @property {string | null} reason why there is none
 * @property {(slot: import('../cpu/engines.mjs').Slot) => object} start an engine's process or page
 * @property {() => void} close
 */

const WORKER = new URL('node-worker.mjs', import.meta.url);

/** @returns {Promise<Runtime>} */
export async function openRuntime(name) {
  return name === 'node' ? openNode() : openChromium();
}

async function openNode() {
  const start = ({ engine }) => new Child({ worker: WORKER, execArgv: ENGINES[engine]?.nodeFlags });
  return { name: 'node', ...(await probe(start)), start, close: () => {} };
}

/** A GPU where Chromium finds one, else SwiftShader. */
async function openChromium() {
  const { path, reason } = await ensureChromium();
  if (!path) return { name: 'chromium', adapter: null, reason, start: null, close: () => {} };
  const site = await startSite();
  const starter = (kind) => () =>
    new PageChild({ url: site.url, executablePath: path, flags: ADAPTER_FLAGS[kind] });
  const wanted = process.env.DSCONV_WEBGPU_ADAPTER ?? 'any';
  let found = { adapter: null, reason: '' };
  let start = null;
  for (const kind of wanted === 'any' ? ['hardware', 'software'] : [wanted]) {
    start = starter(kind);
    found = await probe(start);
    if (found.adapter?.software === (kind === 'software')) break;
  }
  return { name: 'chromium', ...found, start, close: site.close };
}

async function probe(start) {
  const child = start({});
  try {
    return { adapter: await child.ask('adapter'), reason: null };
  } catch (error) {
    return { adapter: null, reason: error.message };
  } finally {
    await child.stop();
  }
}
