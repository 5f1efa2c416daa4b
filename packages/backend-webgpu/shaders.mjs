/**
 * Writes the WGSL files of src/shaders into src/shaders/sources.ts as strings, so that Node, bundlers and browsers load them alike, without
 * a loader and without a request. `--check` says whether the module is up to date instead.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('src/shaders/', import.meta.url);
const target = new URL('sources.ts', folder);

/** Comments and indentation are for readers of the files; what is shipped twice should be small. */
function compact(source) {
  return source
    .split('\n')
    .map((line) => line.replace(/\/\/.*$/, '').trim())
    .filter((line) => line !== '')
    .join('\n');
}

/** A string in the style of the formatter. */
function quote(text) {
  return `\`\n${text.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('$', '\\$')}\n\``;
}

const names = readdirSync(folder)
  .filter((name) => name.endsWith('.wgsl'))
  .sort();
const lines = ['/** Written by shaders.mjs from the .wgsl files beside it. Do not edit. */'];
for (const name of names) {
  const constant = name.replace('.wgsl', '').toUpperCase();
  lines.push(
    '',
    `export const ${constant} = ${quote(compact(readFileSync(new URL(name, folder), 'utf8')))};`,
  );
}
const text = `${lines.join('\n')}\n`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error(`${target.pathname} is not what the .wgsl files say; expected a run of node shaders.mjs`);
    process.exit(1);
  }
} else if (!names.length) {
  throw new Error(`no .wgsl file in ${folder.pathname}`);
} else {
  writeFileSync(target, text);
}
