/** Files that someone brings are not always pictures. */

/** It cannot be read as a picture. */
export class PictureError extends Error {
  override readonly name = 'PictureError';
  readonly code = 'PICTURE';
}

/** Decompression bombs are refused. */
const MAX_PIXELS = 2 ** 28;

/**
 * Decodes a picture, upright.
 *
 * @param name for errors
 * @throws PictureError
 */
export async function openBitmap(name: string, blob: Blob): Promise<ImageBitmap> {
  const bitmap = await createImageBitmap(blob).catch(() => {
    const found = blob.size === 0 ? 'is empty' : 'cannot be read as a picture';
    throw new PictureError(`“${name}” ${found}; expected a JPEG, PNG, WebP, GIF or AVIF file`);
  });
  const { width, height } = bitmap;
  if (width * height <= MAX_PIXELS) return bitmap;
  bitmap.close();
  throw new PictureError(`“${name}” has ${width} × ${height} pixels; expected at most ${MAX_PIXELS}`);
}
