/** Pictures from disk to raw RGB. Resizing is left to the models' preprocessing, so that browsers get the same numbers. */
import { readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { RawImage } from '@dsconv/models';
import sharp from 'sharp';
import { FileError, oneLine, PictureError, toDSConvError } from './errors.js';
import { listFolder } from './folders.js';
import { glob, isGlob } from './glob.js';

/** Decompression bombs are refused: no picture may have more pixels than this. */
const MAX_PIXELS = 2 ** 28;

/** Formats sharp can read that are pictures made of pixels. */
const FORMATS = new Set(['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif', 'avif']);

/** Names that are taken for pictures when a folder is given. */
const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif']);

export function isPictureName(name: string): boolean {
  return EXTENSIONS.has(extname(name).toLowerCase());
}

/**
 * Decodes a picture to 8-bit sRGB: turned upright by its EXIF orientation, CMYK and greyscale converted, 16 bits
 * reduced to 8, transparency laid on white. Of an animation, the first frame.
 *
 * @returns three channels, row by row, at the picture's full size
 * @throws PictureError naming the file when it is no picture or a damaged one
 * @throws FileError when it cannot be read
 */
export async function readPicture(file: string): Promise<RawImage> {
  const encoded = await readFile(file).catch((error: unknown) => {
    throw toDSConvError(error, file);
  });
  if (encoded.length === 0) throw new PictureError(`picture '${file}' is empty: it has 0 bytes`);
  return decodePicture(encoded, file);
}

/** As {@link readPicture}, from the bytes of a file. */
export async function decodePicture(encoded: Uint8Array, name: string): Promise<RawImage> {
  const options = { limitInputPixels: MAX_PIXELS, failOn: 'error' } as const;
  try {
    const { format } = await sharp(encoded, options).metadata();
    if (!FORMATS.has(format)) {
      throw new PictureError(
        `picture '${name}' is of format ${format}; expected JPEG, PNG, WebP or the like`,
      );
    }
    const { data, info } = await sharp(encoded, options)
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) {
      throw new PictureError(`picture '${name}' decodes to ${info.channels} channels; expected 3`);
    }
    return {
      data: new Uint8Array(data.buffer, data.byteOffset, data.length),
      width: info.width,
      height: info.height,
      channels: 3,
    };
  } catch (error) {
    if (error instanceof PictureError) throw error;
    throw new PictureError(`picture '${name}' cannot be decoded: ${reason(error)}`, { cause: error });
  }
}

/** The first complaint of the decoder, without the names of its parts. */
function reason(error: unknown): string {
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (message.includes('unsupported image format')) return 'it is not in a picture format known here';
  const complaints = message.split('; ').map((part) => part.replace(/^.*?(?:Vips\w+|vips\w+): /, ''));
  return complaints[0] || 'it is damaged';
}

/**
 * Files named on a command line: a file is itself, a folder gives its pictures sorted by name, a glob what it matches. A name that has
 * the characters of a glob but exists is taken literally.
 *
 * @throws FileError when an argument leads to nothing
 */
export async function expandPictures(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const status = await stat(path).catch(() => null);
    if (status?.isDirectory()) {
      const names = (await listFolder(path)).files.filter(isPictureName);
      if (names.length === 0) throw new FileError(`folder '${path}' has no pictures in it`);
      files.push(...names.map((name) => join(path, name)));
    } else if (status === null && isGlob(path)) {
      const matches = await glob(path);
      if (matches.length === 0) throw new FileError(`'${path}' matches no file`);
      files.push(...matches);
    } else {
      // A file that does not exist is reported when it is read, among the others.
      files.push(path);
    }
  }
  return files;
}
