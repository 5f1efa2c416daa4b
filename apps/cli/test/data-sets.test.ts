import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Sample, selectSamples } from '../src/data-sets/data-set.js';
import { openDataSet } from '../src/data-sets/index.js';
import { numberInName } from '../src/data-sets/labels.js';
import { LABELS, temporaryFolder } from './support.js';

const folder = temporaryFolder();
const classes = { count: LABELS.length, names: LABELS };

/** Writes files under a new folder and returns its path. */
function folderOf(name: string, files: Record<string, string | Uint8Array>): string {
  for (const [file, content] of Object.entries(files)) {
    const path = join(folder, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return join(folder, name);
}

const labelsOf = (samples: readonly Sample[]) => samples.map(({ label }) => label);

describe('pictures named by class index', () => {
  it('reads the number of the name', () => {
    expect(
      ['0012.jpg', '3-cat.png', '4_b.jpeg', '5.x.webp', 'cat3.jpg', '6cat.jpg'].map(numberInName),
    ).toEqual([12, 3, 4, 5, null, null]);
  });

  it('takes the numbers for labels when all fit', async () => {
    const set = await openDataSet(
      folderOf('numbers', { '0000.jpg': '', '0004.jpg': '', '0002-x.png': '' }),
      classes,
    );
    expect(labelsOf(set.samples)).toEqual([0, 2, 4]);
    expect(set.unlabelled).toBeNull();
  });

  it('has no labels when one does not fit', async () => {
    const set = await openDataSet(folderOf('camera', { '0001.jpg': '', '20240101.jpg': '' }), classes);
    expect(labelsOf(set.samples)).toEqual([null, null]);
    expect(set.unlabelled).toMatch(/no class index/);
  });
});

describe('class folders', () => {
  it('matches names of labels', async () => {
    const set = await openDataSet(
      folderOf('named', {
        'hen/a.jpg': '',
        'Great_White-Shark/b.jpg': '',
        'hen/c.jpg': '',
        'hen/notes.txt': '',
      }),
      classes,
    );
    expect(labelsOf(set.samples)).toEqual([1, 3, 3]);
  });

  it('takes numbers, and the sorted order when there are as many folders as classes', async () => {
    const numbers = await openDataSet(folderOf('numbered', { '4/a.jpg': '', '0/b.jpg': '' }), classes);
    expect(labelsOf(numbers.samples)).toEqual([0, 4]);
    const ids = ['n01', 'n02', 'n1', 'n10', 'n9'];
    const sorted = await openDataSet(
      folderOf('wnids', Object.fromEntries(ids.map((id) => [`${id}/a.jpg`, '']))),
      classes,
    );
    const byName = Object.fromEntries(
      sorted.samples.map(({ name, label }) => [dirname(name).split('/').at(-1), label]),
    );
    expect(byName).toEqual({ n01: 0, n02: 1, n1: 2, n10: 3, n9: 4 });
  });

  it('refuses folders it cannot place', async () => {
    await expect(
      openDataSet(folderOf('unknown', { 'hen/a.jpg': '', 'dragon/b.jpg': '' }), classes),
    ).rejects.toThrow(/'dragon' is no label of the network/);
    await expect(openDataSet(folderOf('large', { '7/a.jpg': '' }), classes)).rejects.toThrow(/has class 7/);
    await expect(openDataSet(folderOf('bare', { 'x.txt': '' }), classes)).rejects.toThrow(/no pictures/);
  });
});

describe('labels.json', () => {
  it('takes indices and names', async () => {
    const entries = [
      { file: 'a.png', label: 2 },
      { file: 'b.png', labelIndex: 1, label: 'ignored' },
      { file: 'c.png', label: 'Ostrich' },
    ];
    const set = await openDataSet(folderOf('list', { 'labels.json': JSON.stringify(entries) }), classes);
    expect(labelsOf(set.samples)).toEqual([2, 1, 4]);
  });

  const bad: [string, string, RegExp][] = [
    ['text', 'no json', /is not valid JSON/],
    ['object', '{}', /is no list/],
    ['name', '[{"label":1}]', /entry 0 has no file name/],
    ['null', '[null]', /entry 0 has no file name/],
    ['high', '[{"file":"a","label":5}]', /has class 5; expected an integer from 0 to 4/],
    ['word', '[{"file":"a","label":"dragon"}]', /has label "dragon"/],
    ['empty', '[]', /no pictures/],
  ];
  it.each(bad)('refuses bad ones: %s', async (name, text, message) => {
    await expect(openDataSet(folderOf(`bad-${name}`, { 'labels.json': text }), classes)).rejects.toThrow(
      message,
    );
  });
});

describe('CIFAR-10 files', () => {
  const records = new Uint8Array(2 * 3073).map((_, n) => n % 251);
  records[0] = 3;
  records[3073] = 1;

  it('reads planes as interleaved pixels', async () => {
    const { samples } = await openDataSet(
      join(folderOf('cifar', { 'data.bin': records }), 'data.bin'),
      classes,
    );
    expect(labelsOf(samples)).toEqual([3, 1]);
    const image = await samples[1]!.read();
    const at = 3073 + 1;
    expect([image.width, image.height, image.channels]).toEqual([32, 32, 3]);
    expect([...image.data.subarray(3, 6)]).toEqual([records[at + 1], records[at + 1025], records[at + 2049]]);
  });

  it('prefers the test part of a folder', async () => {
    const files = { 'x-train.bin': records, 'x-test.bin': records.subarray(0, 3073) };
    expect((await openDataSet(folderOf('parts', files), classes)).samples).toHaveLength(1);
  });

  it('refuses wrong lengths and labels', async () => {
    const short = folderOf('short', { 'a.bin': records.subarray(1) });
    await expect(openDataSet(short, classes)).rejects.toThrow(/expected CIFAR-10 records of 3073 bytes/);
    const wild = folderOf('wild', { 'a.bin': new Uint8Array(3073).fill(77) });
    await expect(openDataSet(wild, classes)).rejects.toThrow(/has label 77/);
    const high = folderOf('high', { 'a.bin': new Uint8Array(3073).fill(7) });
    await expect(openDataSet(high, classes)).rejects.toThrow(/has class 7; expected at most 4/);
  });
});

describe('IDX files', () => {
  const idx = (shape: number[], data: number[]) => {
    const header = Buffer.alloc(4 + 4 * shape.length);
    header.writeUInt32BE(0x800 + shape.length);
    shape.forEach((d, n) => {
      header.writeUInt32BE(d, 4 + 4 * n);
    });
    return Buffer.concat([header, Buffer.from(data)]);
  };
  const images = idx(
    [2, 2, 3],
    Array.from({ length: 12 }, (_, n) => n),
  );
  const labels = idx([2], [4, 0]);

  it('reads pictures and labels, gzipped or not', async () => {
    const set = await openDataSet(
      folderOf('idx', { 't10k-images-idx3-ubyte.gz': gzipSync(images), 't10k-labels-idx1-ubyte': labels }),
      classes,
    );
    expect(labelsOf(set.samples)).toEqual([4, 0]);
    const image = await set.samples[1]!.read();
    expect([image.width, image.height, image.channels]).toEqual([3, 2, 1]);
    expect([...image.data]).toEqual([6, 7, 8, 9, 10, 11]);
  });

  it('has no labels without their file', async () => {
    const set = await openDataSet(folderOf('idx-bare', { 'a-images-idx3-ubyte': images }), classes);
    expect(set.unlabelled).toMatch(/no label file/);
  });

  it('refuses files that are not what their header says', async () => {
    const name = 'a-images-idx3-ubyte';
    const broken: [string, Uint8Array, RegExp][] = [
      ['short', images.subarray(0, 20), /has 4 bytes after its header; expected 12/],
      ['magic', labels, /is not an IDX file/],
      ['huge', idx([2 ** 31, 2 ** 31, 2 ** 31], []), /expected 9.9/],
      ['tiny', images.subarray(0, 3), /is not an IDX file/],
    ];
    for (const [title, bytes, message] of broken) {
      await expect(openDataSet(folderOf(`idx-${title}`, { [name]: bytes }), classes)).rejects.toThrow(
        message,
      );
    }
    const zipped = folderOf('idx-gz', { [`${name}.gz`]: images });
    await expect(openDataSet(zipped, classes)).rejects.toThrow(/cannot be unpacked/);
    const uneven = folderOf('idx-uneven', { [name]: images, 'a-labels-idx1-ubyte': idx([3], [1, 2, 3]) });
    await expect(openDataSet(uneven, classes)).rejects.toThrow(/has 3 labels; expected 2/);
  });
});

describe('selectSamples', () => {
  const samples = Array.from(
    { length: 10 },
    (_, n): Sample => ({
      name: `${n}`,
      label: n,
      number: n,
      read: () => Promise.reject(new Error('not read')),
    }),
  );
  it('filters by remainder and spreads the limit', () => {
    expect(labelsOf(selectSamples(samples, { modulus: 4, remainder: 2 }, undefined))).toEqual([2, 6]);
    expect(labelsOf(selectSamples(samples, undefined, 3))).toEqual([0, 3, 6]);
    expect(selectSamples(samples, undefined, 99)).toHaveLength(10);
  });
});
