/** From the file of a picture to its pixels, as `dsconv classify` decodes them: upright, transparency on white. */
import type { RawImage } from '@dsconv/models';
import { openBitmap } from '../page/bitmap.js';

/**
 * @param name for errors
 * @param invert takes dark for light
 * @throws PictureError
 */
export async function decodePicture(name: string, blob: Blob, invert: boolean): Promise<RawImage> {
  const bitmap = await openBitmap(name, blob);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  if (invert) for (let n = 0; n < data.length; n++) if (n % 4 !== 3) data[n] = 255 - data[n]!;
  return { data, width, height, channels: 4 };
}
