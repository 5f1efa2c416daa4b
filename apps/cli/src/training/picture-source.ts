/** Pictures to learn from: decoded once, kept in memory where they fit. */
import type { PictureSource } from '@dsconv/layers';
import { type Network, preprocess } from '@dsconv/models';
import type { Sample } from '../data-sets/data-set.js';
import { DataSetError } from '../errors.js';
import { turn } from '../interruption.js';
import type { Io } from '../io.js';
import { createProgress } from '../progress.js';

/** Preprocessed pictures are kept up to this many bytes; of larger sets each is decoded whenever it is needed. */
const MOST_BYTES = 1.5e9;

export interface SourceOptions {
  io: Io;
  silent: boolean;
  /** Leave out pictures that cannot be read instead of ending with the first. */
  skipBad: boolean;
}

export interface OpenedSource {
  source: PictureSource;
  /** What was left out, and why. */
  skipped: { name: string; reason: string }[];
}

/**
 * Reads every picture once, so that a bad one is known before training begins. What is left out is told on stderr.
 *
 * @throws PictureError, FileError for the first picture that cannot be read, unless they are skipped
 * @throws DataSetError when no picture is left
 */
export async function openSource(
  samples: readonly Sample[],
  network: Network,
  { io, silent, skipBad }: SourceOptions,
): Promise<OpenedSource> {
  const { preprocessing } = network;
  const { size, channels } = preprocessing;
  const length = size * size * channels;
  const keep = samples.length * length * 4 <= MOST_BYTES;
  const kept: { sample: Sample; pixels: Float32Array | null }[] = [];
  const skipped: OpenedSource['skipped'] = [];
  const progress = createProgress(io, silent, 'read pictures', samples.length);
  try {
    for (const [n, sample] of samples.entries()) {
      if (n % 64 === 0) await turn(io.signal);
      progress.update(n, sample.name);
      try {
        const pixels = preprocess(await sample.read(), preprocessing);
        kept.push({ sample, pixels: keep ? pixels : null });
      } catch (error) {
        if (!skipBad || !(error instanceof Error)) throw error;
        skipped.push({ name: sample.name, reason: error.message });
      }
    }
  } finally {
    progress.finish();
  }
  if (kept.length === 0) {
    throw new DataSetError(`none of ${samples.length} pictures can be read; expected at least one`);
  }
  tellSkipped(io, skipped);
  const labelled = kept.every(({ sample }) => sample.label !== null);
  const source: PictureSource = {
    count: kept.length,
    shape: [size, size, channels],
    async read(n, to) {
      const { sample, pixels } = kept[n]!;
      to.set(pixels ?? preprocess(await sample.read(), preprocessing));
    },
    ...(labelled ? { label: (n: number) => kept[n]!.sample.label! } : {}),
  };
  return { source, skipped };
}

/** Says what was left out. */
function tellSkipped(io: Io, skipped: OpenedSource['skipped']): void {
  for (const { name, reason } of skipped.slice(0, 10)) io.stderr.write(`skipped ${name}: ${reason}\n`);
  if (skipped.length > 10) io.stderr.write(`… and ${skipped.length - 10} more\n`);
}
