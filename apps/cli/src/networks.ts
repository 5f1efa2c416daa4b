/** `--model`: a quantized file, a float network in any form the converter reads, or the id of a network in the package. */
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { readFloatNetwork } from '@dsconv/converter';
import {
  isNetworkFile,
  listModels,
  loadModel,
  type Network,
  nearest,
  networkOf,
  readSafetensors,
  UnknownModelError,
} from '@dsconv/models';
import { FileError, toDSConvError } from './errors.js';

/**
 * @param spec path or id; a path that exists goes first
 * @param architecture name, for float weights whose file does not tell
 * @throws UnknownModelError when it is neither
 * @throws FileFormatError when the file is damaged or of another kind
 */
export async function openNetwork(spec: string, architecture?: string): Promise<Network> {
  const status = await stat(spec).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw toDSConvError(error, spec);
  });
  if (status === null) return loadById(spec);
  if (status.isFile() && extname(spec) !== '.json') {
    if (status.size === 0) throw new FileError(`'${spec}' is empty: it has 0 bytes`);
    const file = readSafetensors(await readBytes(spec), spec);
    if (isNetworkFile(file)) return networkOf(file, spec);
  }
  return readFloatNetwork(spec, architecture === undefined ? {} : { architecture });
}

async function loadById(id: string): Promise<Network> {
  const ids = listModels().map((entry) => entry.id);
  if (ids.includes(id)) return loadModel(id);
  const suggestions = nearest(id, ids)
    .map((name) => `'${name}'`)
    .join(', ');
  throw new UnknownModelError(
    `'${id}' is neither a file nor the id of a network; expected a path that exists, or an id such as ${suggestions}`,
  );
}

async function readBytes(path: string): Promise<Uint8Array> {
  const { buffer, byteOffset, byteLength } = await readFile(path).catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  return new Uint8Array(buffer, byteOffset, byteLength);
}
