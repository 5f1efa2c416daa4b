/** From the file of a picture to its pixels, as `dsconv classify` decodes them: upright, transparency on white. */
import { DSConvError } from '@dsconv/core';
import type { RawImage } from '@dsconv/models';

/** Decompression bombs are refused. */
const MAX_PIXELS = 2 ** 28;

/** It cannot be read as a picture. */
export class PictureError extends DSConvError {
  constructor(message: string) {
    super('PICTURE', message);
  }
}

/**
 * @param name for errors
 * @param invert takes dark for light
 * @throws PictureError
 */
export async function decodePicture(name: string, blob: Blob, invert: boolean): Promise<RawImage> {
  const bitmap = await createImageBitmap(blob).catch(() => {
    const found = blob.size === 0 ? 'is empty' : 'cannot be read as a picture';
    throw new PictureError(`“${name}” ${found}; expected a JPEG, PNG, WebP, GIF or AVIF file`);
  });
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) {
      throw new PictureError(`“${name}” has ${width} × ${height} pixels; expected at most ${MAX_PIXELS}`);
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    if (invert) for (let n = 0; n < data.length; n++) if (n % 4 !== 3) data[n] = 255 - data[n]!;
    return { data, width, height, channels: 4 };
  } finally {
    bitmap.close();
  }
}
