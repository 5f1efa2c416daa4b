/** A training that can go on: variables, the optimizer's memory and the position, in one safetensors file that is written whole. */
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '@dsconv/converter';
import { InvalidArgumentError } from '@dsconv/core';
import type { Snapshot, TrainingPosition } from '@dsconv/layers';
import { readSafetensors, type SafeTensor, writeSafetensors } from '@dsconv/models';
import { FileError, toDSConvError } from '../errors.js';

const FORMAT = 'dsconv-training';

export interface Checkpoint {
  position: TrainingPosition;
  /** What must be the same for going on: see `settingsOf`. */
  settings: string;
  /** Variables now, and those of the best epoch. */
  state: Snapshot;
  best: Snapshot | null;
  optimizer: Snapshot;
}

const PARTS = ['state', 'best', 'optimizer'] as const;

export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const tensors = new Map<string, SafeTensor>();
  for (const part of PARTS) {
    for (const [name, { shape, values }] of checkpoint[part] ?? []) {
      tensors.set(`${part}/${name}`, { dtype: 'F32', shape, data: values });
    }
  }
  const { position, settings } = checkpoint;
  const metadata = new Map([
    ['format', FORMAT],
    ['position', JSON.stringify(position)],
    ['settings', settings],
  ]);
  await writeFileAtomic(path, writeSafetensors(tensors, metadata));
}

/**
 * @param settings of this training
 * @throws FileError, FileFormatError when it cannot be read or is no checkpoint
 * @throws InvalidArgumentError when it was written by a training with other settings
 */
export async function readCheckpoint(path: string, settings: string): Promise<Checkpoint> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  const { tensors, metadata } = readSafetensors(
    new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
    path,
  );
  const position = positionOf(metadata.get('position'));
  if (metadata.get('format') !== FORMAT || !position) {
    throw new FileError(`'${path}' is no checkpoint of a training; expected a file that --checkpoint wrote`);
  }
  const before = metadata.get('settings') ?? '';
  if (before !== settings) {
    throw new InvalidArgumentError(
      `'${path}' was written with ${before}; expected the settings of this run, ${settings}`,
    );
  }
  const part = (
    name: (typeof PARTS)[number],
  ): Map<string, { shape: readonly number[]; values: Float32Array }> =>
    new Map(
      [...tensors]
        .filter(([key, { dtype }]) => key.startsWith(`${name}/`) && dtype === 'F32')
        .map(([key, { shape, data }]) => [
          key.slice(name.length + 1),
          { shape, values: data as Float32Array },
        ]),
    );
  const best = part('best');
  return {
    position,
    settings,
    state: part('state'),
    best: best.size > 0 ? best : null,
    optimizer: part('optimizer'),
  };
}

function positionOf(text: string | undefined): TrainingPosition | null {
  try {
    const { step, bestScore, sinceBest } = JSON.parse(text ?? 'null') as TrainingPosition;
    const isScore = bestScore === null || Number.isFinite(bestScore);
    const areCounts = [step, sinceBest].every((count) => Number.isInteger(count) && count >= 0);
    return areCounts && isScore ? { step, bestScore, sinceBest } : null;
  } catch {
    return null;
  }
}
