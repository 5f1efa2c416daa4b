/** Everything there is to know about an entry of the zoo before it is loaded. */
import { type ArchitectureConfig, countParameters, type ParameterCount } from '../architecture.js';
import { convolutionShapes } from '../convolution-shapes.js';
import { smallestInputSize } from '../input-size.js';
import { createArchitecture } from '../nets/create-architecture.js';
import type { Preprocessing } from '../preprocessing.js';
import { getModel } from '../registry.js';
import { type Accuracy, type Golden, readMeasurements } from './measurements.js';
import type { ModelDownload, ModelEntry } from './model-entry.js';
import { type StoredSize, storedSize } from './stored-size.js';

export interface ModelCard {
  readonly id: string;
  readonly title: string;
  readonly dataset: string;
  /** Number of classes, whose names are the entry's `labels`. */
  readonly classes: number;
  readonly architecture: Required<ArchitectureConfig>;
  readonly parameters: ParameterCount;
  /** Multiply-accumulates for one picture. */
  readonly macs: number;
  /** Side of the smallest square picture that the network reads, in pixels. */
  readonly smallestInput: number;
  /** SPDX identifier. */
  readonly licence: string;
  /** Where the weights come from, for people. */
  readonly source: string;
  /** Address of the float weights, or null where their authors publish no file that is read here. */
  readonly address: string | null;
  /** SHA-256 of the float weights, where it is known for certain; otherwise the server's is taken. */
  readonly sha256: string | null;
  readonly preprocessing: Preprocessing;
  /** Bytes at 32, 8, 4 and 2 bits. */
  readonly stored: readonly StoredSize[];
  /** Empty where nobody has measured it with this project. */
  readonly accuracy: readonly Accuracy[];
  /** Logits of a shipped picture, or null where the weights were not at hand. */
  readonly golden: Golden | null;
}

/** Bits and block sizes that a card tells the bytes of. */
const STORED = [
  [32, null],
  [8, 64],
  [4, 64],
  [2, 64],
] as const;

/**
 * The card of an entry.
 *
 * @param id as in `listModels()`
 * @throws UnknownModelError suggesting the nearest ids
 * @throws FileFormatError when the measurements in the package cannot be read
 */
export async function modelCard(id: string): Promise<ModelCard> {
  const entry = getModel(id);
  const { title, dataset, labels, preprocessing, weights } = entry;
  const architecture = createArchitecture(entry.architecture);
  const { accuracy = [], golden = null } = (await readMeasurements())[id] ?? {};
  return {
    id,
    title,
    dataset,
    classes: labels.length,
    architecture: entry.architecture,
    parameters: countParameters(architecture),
    macs: convolutionShapes(architecture).reduce((sum, { macs }) => sum + macs, 0),
    smallestInput: smallestInputSize(architecture),
    licence: weights.licence,
    source: weights.shipped ? weights.source : weights.from,
    address: weights.shipped ? null : addressOf(weights.download),
    sha256: weights.shipped ? weights.sourceSha256 : sha256Of(entry, golden),
    preprocessing,
    stored: STORED.map(([bits, blockSize]) => storedSize(architecture, bits, blockSize)),
    accuracy,
    golden,
  };
}

function sha256Of({ weights }: ModelEntry, golden: Golden | null): string | null {
  const stated =
    !weights.shipped && weights.download?.kind === 'safetensors' ? weights.download.sha256 : null;
  return stated ?? golden?.sourceSha256 ?? null;
}

function addressOf(download: ModelDownload | null): string | null {
  if (download === null) return null;
  if (download.kind === 'layersModel') return `${download.base}/${download.path}`;
  return `https://huggingface.co/${download.repository}/resolve/${download.revision}/${download.file}`;
}
