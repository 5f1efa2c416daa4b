/** What `npm run bench:cpu` measures beside whole networks: one module each with its title, its measurement and its part of cpu.md. */
import * as eventLoop from './sections/event-loop.mjs';
import * as instructionSets from './sections/instruction-sets.mjs';
import * as layers from './sections/layers.mjs';
import * as memory from './sections/memory.mjs';
import * as soak from './sections/soak.mjs';
import * as wasm from './sections/wasm.mjs';

/**
 * @typedef {object} Section
 * @property {string} TITLE
 * @property {(context: { files: import('./networks.mjs').NetworkFiles, options: object, unavailable: Record<string, string | null> }) => Promise<object>} measure
 * @property {(result: object) => string} render
 */

/** By the key in cpu.json. @type {Record<string, Section>} */
export const SECTIONS = { layers, instructionSets, wasm, memory, eventLoop, soak };

/** Measures the wanted ones; one that cannot run here has its reason as `error`. */
export async function measureSections(names, context) {
  const results = {};
  for (const [name, { TITLE, measure }] of Object.entries(SECTIONS)) {
    if (!names.includes(name)) continue;
    console.error(`${TITLE} …`);
    try {
      results[name] = await measure(context);
    } catch (error) {
      console.error(`  not measured: ${error.message}`);
      results[name] = { error: error.message };
    }
  }
  return results;
}

/** Their parts of cpu.md. */
export function renderSections(results) {
  return Object.entries(SECTIONS)
    .filter(([name]) => results[name])
    .map(([name, { TITLE, render }]) => {
      const { error } = results[name];
      return `## ${TITLE}\n\n${error === undefined ? render(results[name]) : `Not measured: ${error}.`}`;
    })
    .join('\n\n');
}
