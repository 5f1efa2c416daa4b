/**
 * Writes docs/models: a card for every network of the zoo, and their table. After `npm run build`.
 *
 *     node scripts/model-cards.mjs              from what the package knows
 *     node scripts/model-cards.mjs --measure    first writes packages/models/assets/measurements.json anew: accuracy from docs/benchmarks, and
 *                                               golden logits of the networks whose weights are at hand (DSCONV_DATA)
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { listModels } from '@dsconv/models';
import { main } from '../apps/cli/dist/index.js';

const DOCS = new URL('../docs/models/', import.meta.url);

if (process.argv.includes('--measure')) {
  const { measure } = await import('./measure-models.mjs');
  await measure(new URL('../packages/models/assets/measurements.json', import.meta.url));
}
await mkdir(DOCS, { recursive: true });
await writeFile(new URL('README.md', DOCS), await markdown());
for (const { id } of listModels()) await writeFile(new URL(`${id}.md`, DOCS), await markdown(id));
console.log(`wrote docs/models: ${listModels().length} cards`);

/** What `dsconv models [ID] --markdown` prints. */
async function markdown(...id) {
  let [text, problems] = ['', ''];
  const code = await main(['models', ...id, '--markdown'], {
    stdout: { write: (part) => (text += part) },
    stderr: { write: (part) => (problems += part) },
  });
  if (code !== 0) throw new Error(problems);
  return text;
}
