/** The layers of ResNet-50 and MobileNet v1 against the float32 kernels of tfjs-backend-wasm, one thread, one interleaved run. */
import { dsconv } from './cli.mjs';

export async function layers() {
  const settings = [
    { bits: 4, block: 64 },
    { bits: 2, block: 128 },
    { bits: 8, block: 64 },
  ];
  const runs = [];
  for (const { bits, block } of settings) {
    const args = ['bench', 'layers', '--peer', 'tfjs-wasm', '--bits', `${bits}`, '--block', `${block}`];
    runs.push({ bits, blockSize: block, ...(await dsconv(args)) });
  }
  return { runs };
}
