/** Where the figures of a benchmark go. */
import { mkdir, writeFile } from 'node:fs/promises';

const OUT = new URL('../docs/benchmarks/', import.meta.url);

/**
 * Writes results as JSON: a part of them to a file of its own, all of them into docs/benchmarks, with what is made from them beside it.
 *
 * @param {object} results
 * @param {string | null} out path of the file for a part
 * @param {string} name of the benchmark
 * @param {Record<string, (results: object) => string>} pages by the ending of their file
 */
export async function writeResults(results, out, name, pages) {
  const json = `${JSON.stringify(results, null, 1)}\n`;
  if (out) {
    await writeFile(out, json);
    console.error(`wrote ${out}`);
    return;
  }
  await mkdir(OUT, { recursive: true });
  await writeFile(new URL(`${name}.json`, OUT), json);
  const files = [`docs/benchmarks/${name}.json`];
  for (const [ending, render] of Object.entries(pages)) {
    await writeFile(new URL(`${name}.${ending}`, OUT), render(results));
    files.push(`${name}.${ending}`);
  }
  console.error(`wrote ${files.join(', ')}`);
}
