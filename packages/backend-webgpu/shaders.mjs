/**
 * Writes the WGSL files of src/shaders into src/shaders/sources.ts as strings, so that Node, bundlers and browsers load them alike, without
 * a loader and without a request. The build runs it, and so do the tests; git ignores what it writes.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

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

const constants = readdirSync(folder)
  .filter((name) => name.endsWith('.wgsl'))
  .sort()
  .map((name) => {
    const text = JSON.stringify(compact(readFileSync(new URL(name, folder), 'utf8')));
    return `export const ${name.replace('.wgsl', '').toUpperCase()}: string = ${text};\n`;
  });
const module = `/** Written by shaders.mjs from the .wgsl files beside it. */\n\n${constants.join('')}`;
// Who reads the file at this moment must not find half of it, hence not written in vain.
if (!existsSync(target) || readFileSync(target, 'utf8') !== module) writeFileSync(target, module);
