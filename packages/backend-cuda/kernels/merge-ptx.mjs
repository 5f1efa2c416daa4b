/** One PTX module from those of several files. */

/** Lines before the first declaration: comments, .version, .target, .address_size. */
const HEADER = /^(?:\s*(?:\/\/.*|\.(?:version|target|address_size)\b.*)?\n)*/;

/**
 * @param {string[]} texts of the same target
 * @param {string} [version] of PTX to write in place of the compiler's
 * @returns {string} without comments and blank lines
 */
export function mergePtx(texts, version) {
  const of = (text, what) => {
    const found = new RegExp(`^\\.${what}\\s+(.*)$`, 'm').exec(text)?.[1].trim();
    if (found === undefined) throw new Error(`a PTX file has no .${what}`);
    return found;
  };
  const targets = new Set(texts.map((text) => of(text, 'target')));
  if (targets.size !== 1) throw new Error(`PTX files for ${[...targets].join(' and ')}; expected one target`);
  const declared = new Set();
  const bodies = texts.map((text) => {
    const lines = text.replace(HEADER, '').split('\n');
    return lines
      .map((line) => line.replace(/\s*\/\/.*$/, '').replace(/^\s+/, ''))
      .filter((line) => {
        // A hint of newer compilers, which versions of PTX before 8.3 do not know.
        if (line === '' || line.startsWith('.pragma "used_bytes_mask')) return false;
        // The dynamic shared memory of every file is the same; the module has it once.
        if (!line.startsWith('.extern')) return true;
        const first = !declared.has(line);
        declared.add(line);
        return first;
      })
      .join('\n');
  });
  return `.version ${version ?? of(texts[0], 'version')}\n.target ${[...targets][0]}\n.address_size 64\n${bodies.join('\n')}\n`;
}
