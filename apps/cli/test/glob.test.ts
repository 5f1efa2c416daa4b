import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expandBraces, glob, isGlob, segmentToRegExp } from '../src/glob.js';
import { temporaryFolder } from './support.js';

describe('segmentToRegExp', () => {
  const cases: [pattern: string, matching: string[], other: string[]][] = [
    ['*.jpg', ['a.jpg', '.jpg.jpg'.slice(1)], ['a.jpeg', '.a.jpg', 'ajpg']],
    ['?.png', ['a.png', 'ä.png'], ['ab.png', '.png']],
    ['[a-c]1', ['a1', 'c1'], ['d1', '-1']],
    ['[!a]x', ['bx'], ['ax']],
    ['a+(b).jpg', ['a+(b).jpg'], ['aab.jpg']],
    ['[ab', ['[ab'], ['a']],
    ['.*', ['.hidden'], ['shown']],
    ['[]]x', [']x'], ['x']],
  ];
  it.each(cases)('%s', (pattern, matching, other) => {
    const expression = segmentToRegExp(pattern);
    for (const name of matching) expect(name).toMatch(expression);
    for (const name of other) expect(name).not.toMatch(expression);
  });
});

describe('expandBraces', () => {
  it('makes one pattern per alternative, nested ones too', () => {
    expect(expandBraces('a{b,c}d')).toEqual(['abd', 'acd']);
    expect(expandBraces('{a,b{c,d}}{1,2}')).toEqual(['a1', 'a2', 'bc1', 'bc2', 'bd1', 'bd2']);
    expect(expandBraces('a{b,c')).toEqual(['a{b,c']);
    expect(expandBraces('{,x}y')).toEqual(['y', 'xy']);
  });
});

describe('glob', () => {
  const folder = temporaryFolder();
  for (const path of ['a', 'a/b', '.hidden']) mkdirSync(join(folder, path));
  for (const path of ['1.jpg', '2.png', 'a/3.jpg', 'a/b/4.jpg', '.hidden/5.jpg', 'a/.6.jpg']) {
    writeFileSync(join(folder, path), '');
  }
  symlinkSync(folder, join(folder, 'a', 'loop'));
  const find = async (pattern: string) =>
    (await glob(join(folder, pattern))).map((path) => path.slice(folder.length + 1));

  it('matches in one folder', async () => {
    expect(await find('*.jpg')).toEqual(['1.jpg']);
    expect(await find('*.{jpg,png}')).toEqual(['1.jpg', '2.png']);
    expect(await find('*/*.jpg')).toEqual(['a/3.jpg']);
    expect(await find('a/./*.jpg')).toEqual(['a/3.jpg']);
  });

  it('matches at any depth, without hidden files and without following links in circles', async () => {
    expect(await find('**/*.jpg')).toEqual(['1.jpg', 'a/3.jpg', 'a/b/4.jpg']);
    expect(await find('a/**')).toEqual(['a/3.jpg', 'a/b/4.jpg']);
  });

  it('matches nothing where there is nothing', async () => {
    expect(await find('none/*.jpg')).toEqual([]);
    expect(await find('*')).toEqual(['1.jpg', '2.png']);
  });

  it('knows a glob when it sees one', () => {
    expect(isGlob('a*.jpg')).toBe(true);
    expect(isGlob('a.jpg')).toBe(false);
  });
});
