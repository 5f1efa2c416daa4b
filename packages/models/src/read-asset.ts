import { DSConvError } from '@dsconv/core';
import { FileFormatError } from './errors.js';

/**
 * The bytes of an asset beside the code: a `file:` URL in Node, anything `fetch` takes elsewhere.
 *
 * @throws FileFormatError when it cannot be had
 */
export async function readAsset(url: URL): Promise<Uint8Array> {
  try {
    if (url.protocol === 'file:') {
      // Node's fetch knows no file: URLs. The import is dynamic so that browsers never see it.
      const { readFile } = await import('node:fs/promises');
      const { buffer, byteOffset, byteLength } = await readFile(url);
      return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
    }
    const response = await fetch(url);
    if (!response.ok)
      throw new FileFormatError(url.href, `the server answered ${response.status}; expected 200`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof DSConvError) throw error;
    throw new FileFormatError(
      url.href,
      `cannot be read (${error instanceof Error ? error.message : error})`,
      {
        cause: error,
      },
    );
  }
}
