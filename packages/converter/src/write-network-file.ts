import { type Network, writeNetwork } from '@dsconv/models';
import { checkOutputPath, writeFileAtomic } from './write-file.js';

/**
 * Writes a network's file, completely or not at all.
 *
 * @returns bytes written
 * @throws FileAccessError when the path is a folder, its folder is missing, the disk is full, …
 */
export async function writeNetworkFile(path: string, network: Network): Promise<number> {
  await checkOutputPath(path);
  const bytes = writeNetwork(network);
  await writeFileAtomic(path, bytes);
  return bytes.byteLength;
}
