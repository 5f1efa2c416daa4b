/**
 * `npm run bench`: measures everything the documentation claims and writes docs/benchmarks/*.json and README.md.
 *
 *     npm run bench                      all of it
 *     npm run bench -- layers storage    some of it
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { accuracy } from './accuracy.mjs';
import { conversion } from './conversion.mjs';
import { layers } from './layers.mjs';
import { machine } from './machine.mjs';
import { markdown } from './markdown.mjs';
import { memory } from './memory.mjs';
import { storage } from './storage.mjs';

const BENCHMARKS = { storage, conversion, accuracy, memory, layers };
const OUT = new URL('../docs/benchmarks/', import.meta.url);

const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (!(name in BENCHMARKS)) {
    console.error(`error: '${name}' is no benchmark; expected ${Object.keys(BENCHMARKS).join(', ')}`);
    process.exit(2);
  }
}
await mkdir(OUT, { recursive: true });
for (const [name, measure] of Object.entries(BENCHMARKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.error(`measuring ${name} …`);
  const result = { machine: machine(), ...(await measure()) };
  await writeFile(new URL(`${name}.json`, OUT), `${JSON.stringify(result, null, 1)}\n`);
}
const results = {};
for (const name of Object.keys(BENCHMARKS)) {
  try {
    results[name] = JSON.parse(await readFile(new URL(`${name}.json`, OUT), 'utf8'));
  } catch {
    // Not measured on this machine yet: the page leaves it out.
  }
}
await writeFile(new URL('README.md', OUT), markdown(results));
console.error('wrote docs/benchmarks');
