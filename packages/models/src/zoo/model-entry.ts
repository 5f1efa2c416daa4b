/** What the zoo knows about a network. */
import type { ArchitectureConfig } from '../architecture.js';
import type { Preprocessing } from '../preprocessing.js';

export interface ModelEntry {
  /** `architecture.tag`, such as 'resnet20.cifar10'. */
  readonly id: string;
  /** One line for people. */
  readonly title: string;
  readonly architecture: Required<ArchitectureConfig>;
  /** What it was trained on: 'ImageNet-1k', 'CIFAR-10' or 'Fashion-MNIST'. */
  readonly dataset: string;
  readonly preprocessing: Preprocessing;
  /** Class names in index order. */
  readonly labels: readonly string[];
  readonly weights: ModelWeights;
}

/** Shipped in this package, or where to find the float network to quantize. */
export type ModelWeights =
  | {
      readonly shipped: true;
      /** SPDX identifier. */
      readonly licence: string;
      /** How they came to be, for people. */
      readonly source: string;
      /** SHA-256 of the float weights they were quantized from, hexadecimal. */
      readonly sourceSha256: string;
    }
  | {
      readonly shipped: false;
      /** SPDX identifier, as whoever published the weights states it. */
      readonly licence: string;
      /** For people. */
      readonly from: string;
      /** For programs; null where the authors published no file that can be read here. */
      readonly download: ModelDownload | null;
    };

/** Files on a server. */
export type ModelDownload =
  | {
      readonly kind: 'safetensors';
      /** On the Hugging Face hub, `owner/name`. */
      readonly repository: string;
      /** Branch, tag or commit. */
      readonly revision: string;
      readonly file: string;
      /** SHA-256 of the file, hexadecimal, where it is known for certain; the hub states it with every download. */
      readonly sha256: string | null;
    }
  | {
      readonly kind: 'layersModel';
      /** Origin of the server. */
      readonly base: string;
      /** Path of model.json on it; the shards lie beside it. The server states no SHA-256. */
      readonly path: string;
    };
