import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodePicture, expandPictures, readPicture } from '../src/pictures.js';
import { pattern, plain, temporaryFolder } from './support.js';

const pixel = (image: { data: Uint8Array | Uint8ClampedArray; width: number }, x: number, y: number) => [
  ...image.data.subarray(3 * (y * image.width + x), 3 * (y * image.width + x) + 3),
];

const near = (found: number[], wanted: number[], tolerance: number) => {
  found.forEach((value, n) => {
    expect(Math.abs(value - wanted[n]!), `${found} instead of ${wanted}`).toBeLessThanOrEqual(tolerance);
  });
};

describe('decodePicture', () => {
  it('keeps lossless RGB pictures as they are', async () => {
    for (const encoded of [
      await pattern().png().toBuffer(),
      await pattern().webp({ lossless: true }).toBuffer(),
      await pattern().tiff({ compression: 'lzw' }).toBuffer(),
    ]) {
      const image = await decodePicture(encoded, 'x');
      expect([image.width, image.height, image.channels]).toEqual([48, 32, 3]);
      expect((await pattern().raw().toBuffer()).equals(new Uint8Array(image.data))).toBe(true);
    }
  });

  it('decodes JPEG', async () => {
    const image = await decodePicture(await pattern().jpeg({ quality: 95 }).toBuffer(), 'x');
    near(pixel(image, 47, 0), [255, 0, 64], 12);
    near(pixel(image, 0, 31), [0, 255, 64], 12);
  });

  it('turns pictures upright by their EXIF orientation', async () => {
    const encoded = await pattern().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer();
    const image = await decodePicture(encoded, 'x');
    expect([image.width, image.height]).toEqual([32, 48]);
    // Orientation 6 is stored turned to the left: what was left and below is now at the top left.
    near(pixel(image, 0, 0), [0, 255, 64], 12);
    near(pixel(image, 31, 47), [255, 0, 64], 12);
  });

  it('converts CMYK to RGB', async () => {
    const encoded = await plain(220, 40, 40).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(encoded).metadata()).space).toBe('cmyk');
    const [red, green, blue] = pixel(await decodePicture(encoded, 'x'), 5, 5);
    expect(red).toBeGreaterThan(170);
    expect(green).toBeLessThan(90);
    expect(blue).toBeLessThan(90);
  });

  it('gives greyscale three equal channels', async () => {
    for (const encoded of [
      await pattern().toColourspace('b-w').png().toBuffer(),
      await pattern().toColourspace('b-w').jpeg().toBuffer(),
    ]) {
      expect((await sharp(encoded).metadata()).channels).toBe(1);
      const image = await decodePicture(encoded, 'x');
      expect(image.data.length).toBe(48 * 32 * 3);
      const [red, green, blue] = pixel(image, 40, 20);
      expect([green, blue]).toEqual([red, red]);
    }
  });

  it('reduces 16 bits to the upper 8', async () => {
    const wide = Uint16Array.from({ length: 4 * 4 * 3 }, (_, n) => n * 1311);
    const encoded = await sharp(wide, { raw: { width: 4, height: 4, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect((await sharp(encoded).metadata()).depth).toBe('ushort');
    const image = await decodePicture(encoded, 'x');
    near(
      [...image.data],
      [...wide].map((value) => value / 257),
      1,
    );
  });

  it('lays transparent pictures on white', async () => {
    const rgba = Buffer.from([255, 0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 128, 0, 255, 0, 255]);
    const encoded = await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
      .png()
      .toBuffer();
    const image = await decodePicture(encoded, 'x');
    near([...image.data], [255, 255, 255, 255, 0, 0, 127, 127, 127, 0, 255, 0], 1);
  });

  it('lays 16-bit transparent greyscale on white', async () => {
    const encoded = await sharp(new Uint16Array(2 * 2 * 2), { raw: { width: 2, height: 2, channels: 2 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect([...(await decodePicture(encoded, 'x')).data]).toEqual(new Array(12).fill(255));
  });

  it('tells what is wrong in one sentence', async () => {
    const jpeg = await pattern(200, 200).jpeg({ quality: 100 }).toBuffer();
    const png = await pattern(200, 200).png().toBuffer();
    const cases: [Buffer, RegExp][] = [
      [jpeg.subarray(0, jpeg.length / 2), /^picture 'x.jpg' cannot be decoded: premature end/],
      [jpeg.subarray(0, 40), /^picture 'x.jpg' cannot be decoded: /],
      [png.subarray(0, png.length / 2), /^picture 'x.jpg' cannot be decoded: /],
      [Buffer.from('this is no picture\n'), /not in a picture format known here/],
      [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /of format svg/],
    ];
    for (const [encoded, message] of cases) {
      const error = await decodePicture(encoded, 'x.jpg').catch((reason: Error) => reason);
      expect(error).toMatchObject({ code: 'PICTURE', message: expect.stringMatching(message) });
      expect((error as Error).message).not.toContain('\n');
    }
  });
});

describe('reading files', () => {
  const folder = temporaryFolder();

  it('names empty and missing files', async () => {
    writeFileSync(join(folder, 'empty.jpg'), '');
    await expect(readPicture(join(folder, 'empty.jpg'))).rejects.toThrow(
      /empty.jpg' is empty: it has 0 bytes/,
    );
    await expect(readPicture(join(folder, 'none.jpg'))).rejects.toThrow(/none.jpg' does not exist/);
    await expect(readPicture(folder)).rejects.toThrow(/is a folder; expected a file/);
  });

  it('expands folders, globs and names that look like globs', async () => {
    mkdirSync(join(folder, 'set'));
    for (const name of ['10.png', '9.JPG', 'notes.txt', '[a].jpg'])
      writeFileSync(join(folder, 'set', name), 'x');
    const names = async (path: string) =>
      (await expandPictures([join(folder, path)])).map((file) => file.slice(folder.length + 1));
    expect(await names('set')).toEqual(['set/[a].jpg', 'set/9.JPG', 'set/10.png']);
    expect(await names('set/*.{png,JPG}')).toEqual(['set/10.png', 'set/9.JPG']);
    expect(await names('set/[a].jpg')).toEqual(['set/[a].jpg']);
    await expect(names('set/*.gif')).rejects.toThrow(/matches no file/);
    mkdirSync(join(folder, 'bare'));
    await expect(names('bare')).rejects.toThrow(/has no pictures in it/);
  });
});
