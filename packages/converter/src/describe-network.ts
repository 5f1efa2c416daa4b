/** What a file of weights alone does not say: preprocessing and labels, from the registry or from plain defaults. */
import {
  type Architecture,
  FileFormatError,
  findModel,
  type LayerWeights,
  Network,
  type Preprocessing,
} from '@dsconv/models';

/** Hints a source may give about itself. */
export interface SourceHints {
  /** Name of the data set it was trained on. */
  dataset?: string | undefined;
  mean?: readonly number[] | undefined;
  std?: readonly number[] | undefined;
}

/** Puts a network together from an architecture and its float weights. */
export function describeNetwork(
  architecture: Architecture,
  weights: ReadonlyMap<string, LayerWeights>,
  metadata: { source: string; sourceSha256: string },
  hints: SourceHints = {},
): Network {
  const { channels, inputSize } = architecture;
  if (channels !== 1 && channels !== 3) {
    throw new FileFormatError(
      metadata.source,
      `the network reads pictures of ${channels} channels; expected 1 or 3`,
    );
  }
  const entry = findModel(architecture);
  const known = entry && (hints.dataset === undefined || isSameDataset(hints.dataset, entry.dataset));
  const preprocessing: Preprocessing = {
    ...(known ? entry.preprocessing : plainPreprocessing(channels)),
    size: inputSize,
    ...(hints.mean?.length === channels && hints.std?.length === channels
      ? { range: [0, 1], mean: hints.mean, std: hints.std }
      : {}),
  };
  const labels = known ? entry.labels : [];
  return new Network({ architecture, weights, preprocessing, labels, metadata });
}

/** 'CIFAR-10' and 'cifar10' are one; 'ImageNet' is short for 'ImageNet-1k'. */
function isSameDataset(a: string, b: string): boolean {
  const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');
  return plain(a) === plain(b) || (plain(a) === 'imagenet' && plain(b) === 'imagenet1k');
}

/** The whole picture, values from 0 to 1. */
function plainPreprocessing(channels: 1 | 3): Preprocessing {
  return {
    size: 1,
    channels,
    resize: { mode: 'shorterSide', cropRatio: 1 },
    interpolation: 'bilinear',
    antialias: true,
    range: [0, 1],
    mean: new Array(channels).fill(0),
    std: new Array(channels).fill(1),
  };
}
