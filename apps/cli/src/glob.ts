/** Quoted globs, expanded by us: `*`, `?`, `[a-z]`, `{a,b}` and `**` for any depth of folders. Node 20 has no `fs.glob`. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** True when the text has characters with a meaning in a glob. */
export function isGlob(text: string): boolean {
  return /[*?[{]/.test(text);
}

/** Turns one path segment of a glob into a regular expression. Leading dots match only when written. */
export function segmentToRegExp(segment: string): RegExp {
  let source = segment.startsWith('.') ? '' : '(?!\\.)';
  for (let i = 0; i < segment.length; i++) {
    const character = segment[i]!;
    if (character === '*') source += '.*';
    else if (character === '?') source += '.';
    else if (character === '[' && segment.indexOf(']', i + 2) > 0) {
      const end = segment.indexOf(']', i + 2);
      const members = segment.slice(i + 1, end).replace(/[\\\]^]/g, '\\$&');
      source += segment[i + 1] === '!' ? `[^${members.slice(1)}]` : `[${members}]`;
      i = end;
    } else source += character.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 'u');
}

/** Expands `{a,b}` into one pattern per alternative, nested ones too; braces that do not close stay as they are. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const parts: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let i = open; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === '{') depth++;
    else if (character === '}' && --depth === 0) {
      parts.push(pattern.slice(start, i));
      const rest = expandBraces(pattern.slice(i + 1));
      const before = pattern.slice(0, open);
      return parts.flatMap((part) => expandBraces(part).flatMap((p) => rest.map((r) => before + p + r)));
    } else if (character === ',' && depth === 1) {
      parts.push(pattern.slice(start, i));
      start = i + 1;
    }
  }
  return [pattern];
}

/** Files that match the pattern, sorted by path, without duplicates. Folders that cannot be listed match nothing. */
export async function glob(pattern: string): Promise<string[]> {
  const found = new Set<string>();
  for (const alternative of expandBraces(pattern)) {
    const segments = alternative.split('/');
    const absolute = segments[0] === '';
    if (absolute) segments.shift();
    await walk(absolute ? '/' : '', segments, found);
  }
  return [...found].sort();
}

async function walk(folder: string, segments: readonly string[], found: Set<string>): Promise<void> {
  const [segment, ...rest] = segments;
  if (segment === undefined) return;
  if (segment === '' || segment === '.' || segment === '..' || !isGlob(segment)) {
    const path = segment === '' ? folder : join(folder, segment);
    if (rest.length > 0) await walk(path, rest, found);
    else if (await isFile(path)) found.add(path);
    return;
  }
  const entries = await readdir(folder === '' ? '.' : folder, { withFileTypes: true }).catch(() => []);
  if (segment === '**') {
    await walk(folder, rest.length > 0 ? rest : ['*'], found);
    for (const entry of entries) {
      // Links to folders are not followed below `**`, so that a link to a parent cannot make the walk endless.
      if (entry.isDirectory() && !entry.name.startsWith('.'))
        await walk(join(folder, entry.name), segments, found);
    }
    return;
  }
  const matcher = segmentToRegExp(segment);
  for (const entry of entries) {
    if (!matcher.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (rest.length > 0) await walk(path, rest, found);
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) found.add(path);
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}
