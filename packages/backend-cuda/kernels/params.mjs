/**
 * Writes src/device/params.ts from the structs of kernels/params/*.h: for each an interface, and a function that packs its fields as C lays them out, so that the
 * kernels' parameters are declared in one place. The build runs it, and so do the tests; git ignores what it writes.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('params/', import.meta.url);
const target = new URL('../src/device/params.ts', import.meta.url);

const SCALARS = { int: 'setInt32', unsigned: 'setUint32', float: 'setFloat32' };

/** Text without comments. */
const bare = (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, ' ').replaceAll(/\/\/.*$/gm, ' ');

/** The structs of a file: name and fields, each with its place. */
function structsOf(text, file) {
  return [...bare(text).matchAll(/struct\s+(\w+)\s*\{([^}]*)\}\s*;/g)].map(([, name, body]) => {
    if (!name.endsWith('Params'))
      throw new Error(`${file}: struct ${name}; expected a name that ends with Params`);
    let at = 0;
    const fields = body
      .split(';')
      .map((line) => line.trim().replaceAll(/\s+/g, ' '))
      .filter((line) => line !== '')
      .map((line) => {
        const found = /^(?:const )?(\w+)(?: |( ?\* ?))(\w+)(?:\[(\d+)\])?$/.exec(line);
        if (!found)
          throw new Error(`${file}: field '${line}' of ${name}; expected a pointer, int, unsigned or float`);
        const [, type, star, field, count] = found;
        if (!star && !SCALARS[type]) {
          throw new Error(
            `${file}: type '${type}' of ${name}.${field}; expected a pointer, int, unsigned or float`,
          );
        }
        if (star && count)
          throw new Error(`${file}: ${name}.${field} is an array of pointers; expected single ones`);
        const size = star ? 8 : 4;
        at = Math.ceil(at / size) * size;
        const place = { field, type: star ? 'pointer' : type, count: count ? Number(count) : null, at };
        at += size * (place.count ?? 1);
        return place;
      });
    const align = fields.some(({ type }) => type === 'pointer') ? 8 : 4;
    return { name, fields, bytes: Math.ceil(at / align) * align };
  });
}

function moduleOf({ name, fields, bytes }) {
  const what = { pointer: 'a device address', int: 'int32', unsigned: 'uint32', float: 'float32' };
  const members = fields.map(
    ({ field, type, count }) =>
      `  /** ${what[type]}${count === null ? '' : `, ${count} of them`} */\n  ${field}: ${count === null ? 'number' : 'readonly number[]'};`,
  );
  const writes = fields.map(({ field, type, count, at }) =>
    count === null
      ? `  ${type}(view, ${at}, p.${field}, '${name}.${field}');`
      : `  many(${type}, view, ${at}, p.${field}, ${count}, '${name}.${field}');`,
  );
  return `export interface ${name} {\n${members.join('\n')}\n}\n
/** ${bytes} bytes. */
export function pack${name.replace(/Params$/, '')}(p: ${name}): Uint8Array {
  const view = new DataView(new ArrayBuffer(${bytes}));\n${writes.join('\n')}
  return new Uint8Array(view.buffer);\n}\n`;
}

const head = `/** Written by kernels/params.mjs from kernels/params/*.h. */

type Write = (view: DataView, at: number, value: number, name: string) => void;

function whole(value: number, least: number, most: number, name: string): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(\`\${name} is \${value}; expected an integer from \${least} to \${most}\`);
  }
}

const pointer: Write = (view, at, value, name) => {
  whole(value, 0, Number.MAX_SAFE_INTEGER, name);
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
};

const int: Write = (view, at, value, name) => {
  whole(value, -(2 ** 31), 2 ** 31 - 1, name);
  view.setInt32(at, value, true);
};

const unsigned: Write = (view, at, value, name) => {
  whole(value, 0, 2 ** 32 - 1, name);
  view.setUint32(at, value, true);
};

const float: Write = (view, at, value, name) => {
  if (typeof value !== 'number') throw new RangeError(\`\${name} is \${value}; expected a number\`);
  view.setFloat32(at, value, true);
};

function many(write: Write, view: DataView, at: number, values: readonly number[], count: number, name: string): void {
  if (values.length !== count) throw new RangeError(\`\${name} has \${values.length} values; expected \${count}\`);
  values.forEach((value, n) => {
    write(view, at + 4 * n, value, name);
  });
}

/** Every writer is used by some struct or other; this keeps the compiler from minding those that are not yet. */
export const writers = { pointer, int, unsigned, float, many };

`;

const structs = readdirSync(folder)
  .filter((name) => name.endsWith('.h'))
  .sort()
  .flatMap((name) => structsOf(readFileSync(new URL(name, folder), 'utf8'), name));
const twice = structs.find(({ name }, n) => structs.findIndex((other) => other.name === name) !== n);
if (twice) throw new Error(`struct ${twice.name} is declared twice`);
const module = head + structs.map(moduleOf).join('\n');
// Who reads the file at this moment must not find half of it, hence not written in vain.
if (!existsSync(target) || readFileSync(target, 'utf8') !== module) writeFileSync(target, module);
