/** What was measured with weights and data that are not all in the package: `assets/measurements.json`, written by scripts/model-cards.mjs. */
import { FileFormatError } from '../errors.js';
import { readAsset } from '../read-asset.js';

/** One measurement. Shares from 0 to 1. */
export interface Accuracy {
  /** Such as 'float32' or '4 bits, blocks of 64, calibrated'. */
  readonly weights: string;
  readonly top1: number;
  /** Share of pictures with the float network's class; null for the float network itself. */
  readonly agreement: number | null;
  readonly pictures: number;
  /** What the pictures are. */
  readonly data: string;
  /** Prints these figures. */
  readonly command: string;
}

/** What a network must compute from one picture. */
export interface Golden {
  /** The picture, a path inside the package's assets. */
  readonly picture: string;
  /** 'float32' for the network as published, or how its shipped file is quantized. */
  readonly weights: string;
  /** SHA-256 of the file of float weights, hexadecimal. */
  readonly sourceSha256: string;
  /** What computed them. */
  readonly backend: string;
  /** `[classes]`. */
  readonly logits: readonly number[];
}

/** By id. */
export type Measurements = Readonly<
  Record<string, { readonly accuracy?: readonly Accuracy[]; readonly golden?: Golden }>
>;

let read: Promise<Measurements> | null = null;

/** @throws FileFormatError */
export function readMeasurements(): Promise<Measurements> {
  read ??= parse(new URL('../../assets/measurements.json', import.meta.url)).catch((error: unknown) => {
    // A server may have it the next time.
    read = null;
    throw error;
  });
  return read;
}

/** Written out one by one, because bundlers find assets by this very expression. */
const PICTURES: Readonly<Record<string, () => URL>> = {
  'fashion-mnist/00000-ankle-boot.png': () =>
    new URL('../../assets/fashion-mnist/00000-ankle-boot.png', import.meta.url),
  'golden/picture.png': () => new URL('../../assets/golden/picture.png', import.meta.url),
};

/** Where the golden picture lies, a PNG file. @throws FileFormatError when the package has no such picture */
export function goldenPicture({ picture }: Golden): URL {
  const url = Object.hasOwn(PICTURES, picture) ? PICTURES[picture]!() : null;
  if (url) return url;
  throw new FileFormatError(picture, 'is no golden picture of this package; expected one that is');
}

async function parse(url: URL): Promise<Measurements> {
  const bytes = await readAsset(url);
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Measurements;
  } catch (error) {
    throw new FileFormatError(url.href, `is not JSON (${(error as Error).message})`, { cause: error });
  }
}

/** How far logits are from the golden ones. */
export interface GoldenComparison {
  /** Largest difference of two logits, as a part of the largest golden one. */
  readonly error: number;
  /** Whether the most probable class is the same. */
  readonly sameClass: boolean;
  /** Whether the error is what other orders of summation explain. */
  readonly holds: boolean;
}

/**
 * Float sums in another order are far below this; where activations are rounded, one falls to its neighbour here and there. A wrong kernel, or
 * wrong weights, are far above.
 */
const LIMITS = { float: 1e-3, quantized: 5e-3 } as const;

/** Holds logits of the golden picture, one row, against the golden ones. */
export function compareGolden({ logits, weights }: Golden, found: ArrayLike<number>): GoldenComparison {
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const differences = logits.map((value, n) => Math.abs(value - (found[n] ?? Number.NaN)));
  const error =
    found.length === logits.length ? differences.reduce((a, b) => Math.max(a, b), 0) / largest : Infinity;
  const values = Array.from(found);
  const sameClass = values.indexOf(Math.max(...values)) === logits.indexOf(Math.max(...logits));
  const limit = weights === 'float32' ? LIMITS.float : LIMITS.quantized;
  // Written so that NaN does not hold.
  return { error, sameClass, holds: sameClass && error <= limit };
}
