/** Values of tensors that lie in files beside the model. */
import { open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileFormatError } from '@dsconv/models';
import { accessError } from '../errors.js';
import { isInsideFolder } from '../graph/weights-manifest.js';
import type { ModelProto, TensorProto } from './proto.js';
import { rawLength } from './read-tensor.js';

/**
 * Reads what a model keeps in other files, of its folder only.
 *
 * @param path the ONNX file
 * @returns bytes read
 * @throws FileFormatError naming file and tensor when a place is outside the folder or the file, or the length is not that of the shape
 * @throws FileAccessError naming a file that is missing or unreadable
 */
export async function readExternalData({ nodes, initializers }: ModelProto, path: string): Promise<number> {
  const ofNodes = nodes.flatMap(({ attributes }) =>
    [...attributes.values()].flatMap(({ tensor }) => tensor ?? []),
  );
  let bytes = 0;
  for (const tensor of [...initializers, ...ofNodes]) {
    if (!tensor.external) continue;
    tensor.raw = await readPart(tensor, tensor.external, path);
    bytes += tensor.raw.length;
  }
  return bytes;
}

async function readPart(
  tensor: TensorProto,
  place: ReadonlyMap<string, string>,
  path: string,
): Promise<Uint8Array> {
  const fail = (problem: string): never => {
    throw new FileFormatError(path, `tensor '${tensor.name}' ${problem}`);
  };
  const location = place.get('location') ?? '';
  if (!isInsideFolder(location)) {
    fail(`lies in '${location}', outside the model's folder; expected a relative path inside it`);
  }
  const expected = rawLength(tensor);
  if (expected === null)
    return fail(`has the shape [${tensor.dims}] of type ${tensor.type}; expected numbers`);
  const offset = Number(place.get('offset') ?? 0);
  const length = Number(place.get('length') ?? expected);
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== expected) {
    fail(
      `lies at offset ${place.get('offset')} with ${place.get('length')} bytes; expected ${expected} bytes for [${tensor.dims}]`,
    );
  }
  const file = join(dirname(path), location);
  const status = await stat(file).catch((error: unknown) => {
    throw accessError(file, error, 'read');
  });
  if (offset + length > status.size) {
    fail(`needs ${offset + length} bytes of '${location}'; expected at most its ${status.size}`);
  }
  try {
    const handle = await open(file);
    try {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
        if (bytesRead === 0) return fail(`ends early in '${location}'`);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof FileFormatError) throw error;
    throw accessError(file, error, 'read');
  }
}
