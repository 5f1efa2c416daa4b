/** Bits and block size for every layer of a network, from what each would cost and save. */
import { InvalidArgumentError } from '@dsconv/core';
import type { LayerSpec, Network } from '@dsconv/models';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import type { LayerPlan, QuantizeNetworkOptions, QuantizeProgress } from '../quantize-network.js';
import type { LayerSensitivity } from './allocation-report.js';
import { type Candidate, candidatesOf, fixedBytes, storedBytes } from './candidates.js';
import { hullSelections, type Selection, selectWithin } from './knapsack.js';
import { resolveLayers } from './layer-patterns.js';
import { noisePictures } from './noise-pictures.js';
import { measureSensitivity } from './sensitivity.js';
import { shapeNetwork } from './shape-network.js';
import { countWeights } from './targets.js';

/** Pictures of nothing that stand for real ones. */
const NOISE_PICTURES = 16;

export interface AllocationOptions extends Pick<QuantizeNetworkOptions, 'layers' | 'scales'> {
  seed: number;
  memory: number;
  /** Pictures that sensitivities are measured on, at most. */
  most: number;
  /** Damping of covariances while rounding, relative to their mean diagonal. */
  damping: number;
  /** Bytes that kernels will have to keep within, where that is known: checked before anything is measured. */
  budget?: number;
  onProgress?: (progress: QuantizeProgress) => void;
}

/** Forms and losses of a network's layers, and choices among them. */
export class BitAllocator {
  private constructor(
    /** Layers there is something to know of, in the order of the network. */
    readonly names: readonly string[],
    /** Forms by layer, in that order. */
    readonly forms: readonly (readonly Candidate[])[],
    /** `forms` with their losses. */
    private readonly choices: readonly (readonly { bytes: number; loss: number }[])[],
    private readonly fixed: number,
    private readonly weights: number,
    /** What losses were measured on, and what noise was driven through where there were no pictures. */
    readonly network: Network,
    readonly pictures: CalibrationPictures,
  ) {}

  /**
   * Measures how much each layer matters.
   *
   * @param pictures null for noise shaped by the network's batch normalizations
   */
  static async measure(
    network: Network,
    plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
    pictures: CalibrationPictures | null,
    options: AllocationOptions,
  ): Promise<BitAllocator> {
    const names = network.architecture.layers.map(({ name }) => name);
    const pinned = resolveLayers(options.layers ?? {}, names, network.architecture.name);
    const candidates = candidatesOf(plans, pinned);
    const { budget = Number.POSITIVE_INFINITY, scales = 'float16' } = options;
    const least = plans.reduce((sum, { layer }) => {
      const own = candidates.get(layer.name)?.map((form) => storedBytes(layer, form, scales));
      return sum + (own ? Math.min(...own) : 0);
    }, fixedBytes(network));
    if (budget < least) throw unreachable(budget, least, countWeights(network));
    const seen = pictures ?? noisePictures(network, NOISE_PICTURES, options.seed);
    const shaped = pictures ? network : await shapeNetwork(network, plans, seen, options);
    const losses = await measureSensitivity(shaped, plans, candidates, seen, {
      ...options,
      feedback: pictures !== null,
    });
    const layers = names.filter((name) => candidates.has(name));
    const forms = layers.map((name) => candidates.get(name)!);
    const specs = new Map(plans.map(({ layer }) => [layer.name, layer]));
    const choices = forms.map((own, n) => {
      const found = losses.get(layers[n]!)!;
      return own.map((form, index) => {
        return {
          bytes: storedBytes(specs.get(layers[n]!)!, form, found.storage),
          loss: found.losses[index]!,
        };
      });
    });
    return new BitAllocator(layers, forms, choices, fixedBytes(network), countWeights(network), shaped, seen);
  }

  /**
   * The best choice whose kernels take at most `budget` bytes.
   *
   * @throws InvalidArgumentError when none is that small
   */
  within(budget: number): Selection {
    const found = selectWithin(this.choices, budget - this.fixed);
    if (found) return this.withFixed(found);
    throw unreachable(budget, this.curve()[0]!.bytes, this.weights);
  }

  /** Choices from the smallest to the one that loses least, each the best for some price of a byte. */
  curve(): Selection[] {
    return hullSelections(this.choices).map((selection) => this.withFixed(selection));
  }

  bitsPerWeight(kernelBytes: number): number {
    return (8 * kernelBytes) / this.weights;
  }

  /** A choice as options of `quantizeNetwork`. */
  settings({ chosen }: Selection): Record<string, { bits: number; blockSize: number }> {
    return Object.fromEntries(
      chosen.map((form, n) => {
        const { bits, blockSize } = this.forms[n]![form]!;
        return [this.names[n]!, { bits, blockSize }];
      }),
    );
  }

  /** Every form of every layer with its loss, for reports. */
  sensitivities({ chosen }: Selection): LayerSensitivity[] {
    return this.names.map((layer, n) => ({
      layer,
      chosen: chosen[n]!,
      forms: this.forms[n]!.map(({ bits, blockSize }, form) => ({
        bits,
        blockSize,
        ...this.choices[n]![form]!,
      })),
    }));
  }

  private withFixed({ chosen, bytes, loss }: Selection): Selection {
    return { chosen, bytes: bytes + this.fixed, loss };
  }
}

function unreachable(budget: number, least: number, weights: number): InvalidArgumentError {
  const wanted = Math.max(0, Math.floor(budget));
  const bits = (bytes: number): string => `${((8 * bytes) / weights).toFixed(2)} bits per weight`;
  return new InvalidArgumentError(
    `the target leaves ${wanted} bytes for kernels, ${bits(wanted)}; expected at least ${least} bytes, ${bits(least)}`,
  );
}
