import type { RawImage } from '@dsconv/models';

/** One picture of a data set. */
export interface Sample {
  /** Path or record, for error messages. */
  name: string;
  /** Index of its class, or null where it is not known. */
  label: number | null;
  /** What `--filter-mod` divides: the number in its name, else its position in the set. */
  number: number;
  read(): Promise<RawImage>;
}

export interface DataSet {
  samples: Sample[];
  /** Why the labels are not known, in a sentence; null when they are. */
  unlabelled: string | null;
}

/** What a reader of a data set needs to know about the network, to make sense of labels. */
export interface ClassNames {
  /** Number of outputs of the network. */
  count: number;
  /** Names in index order, where the network has them. */
  names: readonly string[] | null;
}

/** Keeps what `--filter-mod` asks for, then at most `limit` samples, spread evenly so that every class stays in. */
export function selectSamples(
  samples: readonly Sample[],
  filter: { modulus: number; remainder: number } | undefined,
  limit: number | undefined,
): Sample[] {
  const kept = filter
    ? samples.filter(({ number }) => number % filter.modulus === filter.remainder)
    : [...samples];
  if (limit === undefined || limit >= kept.length) return kept;
  return Array.from({ length: limit }, (_, n) => kept[Math.floor((n * kept.length) / limit)]!);
}
