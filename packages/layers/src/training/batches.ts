/** Pictures in memory, drawn in an order that depends on a seed alone. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Augmentation, augment, augmentedShape, pasteBox } from './augment.js';

/** Preprocessed pictures and their classes. */
export interface Batch {
  /** float32 `[N, height, width, channels]`. */
  x: Float32Array;
  shape: [number, number, number, number];
  /** One class per picture, or null where there are none. */
  labels: Int32Array | null;
}

/** Pictures that can be read one by one, any number of times. */
export interface PictureSource {
  readonly count: number;
  /** `[height, width, channels]` of every picture, as the network reads it. */
  readonly shape: readonly [number, number, number];
  /** Fills `to` with picture `n`. */
  read(n: number, to: Float32Array): void | Promise<void>;
  /** Class of picture `n`; sources without labels have no such function. */
  label?(n: number): number;
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Indices in a random order (Fisher and Yates). */
export function shuffled(count: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, n) => n);
  for (let n = count - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1));
    [order[n], order[other]] = [order[other]!, order[n]!];
  }
  return order;
}

/**
 * The batches of one epoch. The order and every augmentation depend on seed and epoch alone, so that training can be resumed. A last batch that is not full is
 * left out, unless it is the only one.
 *
 * @param from the first batch to give, of those of the epoch
 */
export async function* batchesOf(
  source: PictureSource,
  size: number,
  { seed, epoch, from = 0 }: { seed: number; epoch: number; from?: number },
  augmentation: Augmentation = {},
): AsyncGenerator<Batch> {
  const count = batchCount(source, size);
  const whole = Math.min(size, source.count);
  const order = shuffled(source.count, generator(seed * 7919 + epoch));
  const [height, width, channels] = augmentedShape(source.shape, augmentation);
  const length = height * width * channels;
  const plain = new Float32Array(source.shape.reduce((a, b) => a * b, 1));
  const other = new Float32Array(length);
  const { mix = 0 } = augmentation;
  for (let n = from; n < count; n++) {
    const random = generator((seed * 7919 + epoch) * 104729 + n + 1);
    const x = new Float32Array(whole * length);
    const labels = source.label ? new Int32Array(whole) : null;
    for (let k = 0; k < whole; k++) {
      const picture = order[n * whole + k]!;
      await source.read(picture, plain);
      augment(plain, source.shape, x.subarray(k * length, (k + 1) * length), augmentation, random);
      if (labels) labels[k] = source.label!(picture);
      if (mix === 0 || random() >= mix) continue;
      await source.read(Math.floor(random() * source.count), plain);
      augment(plain, source.shape, other, augmentation, random);
      pasteBox(other, x.subarray(k * length, (k + 1) * length), [height, width, channels], random);
    }
    yield { x, shape: [whole, height, width, channels], labels };
  }
}

/** Batches of an epoch. */
export function batchCount(source: PictureSource, size: number): number {
  if (!Number.isInteger(size) || size < 1) {
    throw new InvalidArgumentError(`batchSize is ${size}; expected a positive integer`);
  }
  if (source.count < 1) throw new InvalidArgumentError('there are no pictures; expected at least one');
  return Math.max(1, Math.floor(source.count / size));
}
