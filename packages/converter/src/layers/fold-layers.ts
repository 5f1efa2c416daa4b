/** Finds the convolutions of a LayersModel and takes into each what belongs to it. What is left is a topology of the same outputs with fewer layers. */
import type { Convolution } from '../graph/convolution.js';
import type { LeftNode } from '../graph/fold-graph.js';
import { absorbLayer, rankOf } from './absorb-layer.js';
import { LayerConfig } from './layer-config.js';
import { LayerError } from './layer-error.js';
import type { LayerWeights } from './layer-weights.js';
import { type FoundLayers, isConvolutionClass, readLayer } from './read-layer.js';
import { FROZEN_CLASSES } from './runtime/names.js';
import type { Container, Layer, LayerReference } from './topology.js';
import { sortLayers } from './traverse-layers.js';

/** A convolution in the place of a layer. */
export interface LayerConvolution extends Convolution {
  /** A Keras activation behind it that DSConv has not, or null. */
  outerActivation: string | null;
  /** No other convolution comes before it. */
  isFirst: boolean;
  /** Configuration of the layer whose input it reads; the shape of a model's input stands there. */
  head: Layer['config'];
}

export interface FoldedLayers {
  container: Container;
  /** By the name of the layer that each replaces, in the order of execution. */
  convolutions: Map<string, LayerConvolution>;
  left: LeftNode[];
}

/** The class of a convolution's place in a folded topology. */
export const FOLDED_CLASS = 'Convolution';

/** Layers with matrices of their own that stay as they are, and what they are. */
const LEFT: Readonly<Record<string, string>> = {
  Conv1D: 'it is a convolution over one dimension',
  Conv3D: 'it is a convolution over three dimensions',
  Conv2DTranspose: 'it is a transposed convolution',
  Conv3DTranspose: 'it is a transposed convolution',
  ConvLSTM2D: 'it is recurrent',
  LSTM: 'it is recurrent',
  GRU: 'it is recurrent',
  SimpleRNN: 'it is recurrent',
  RNN: 'it is recurrent',
  Bidirectional: 'it wraps another layer',
  TimeDistributed: 'it wraps another layer',
};

export interface FoldOptions {
  /** Tells classes of TensorFlow.js; others are named. */
  isKnown: (className: string) => boolean;
  /** Also take dense layers, as convolutions of 1 × 1. Default true. */
  dense?: boolean;
  /** What layers learned, by name: these are folded then, and no others. */
  trained?: ReadonlyMap<string, FoundLayers | string>;
}

/** Folds a topology in place, nested models included. Every output keeps its name. */
export function foldLayers(
  container: Container,
  weights: LayerWeights,
  file: string,
  options: FoldOptions,
): FoldedLayers {
  const folded: FoldedLayers = { container, convolutions: new Map(), left: [] };
  const fold = (inside: Container, isAfter: boolean): boolean => {
    const after = new Set<string>();
    for (const layer of sortLayers(inside, file)) {
      // A layer that an earlier convolution took in.
      if (!inside.layers.includes(layer)) continue;
      const inputs = layer.calls[0] ?? [];
      let follows = isAfter && inputs.length === 0;
      for (const input of inputs) follows ||= after.has(input.layer);
      const places = new Folding(inside, folded, weights, file, options).visit(layer, !follows);
      const contains = layer.nested ? fold(layer.nested, follows) : false;
      const isFrozen = Object.values<string>(FROZEN_CLASSES).includes(layer.className);
      if (follows || contains || isFrozen || places.length > 0) {
        for (const name of [layer.name, ...places]) after.add(name);
      }
    }
    return [...inside.outputs].some((name) => after.has(name));
  };
  fold(container, false);
  return folded;
}

/** Folding of one layer of a container. */
class Folding {
  private readonly byName: ReadonlyMap<string, Layer>;

  constructor(
    private readonly container: Container,
    private readonly into: FoldedLayers,
    private readonly weights: LayerWeights,
    private readonly file: string,
    private readonly options: FoldOptions,
  ) {
    this.byName = new Map(container.layers.map((layer) => [layer.name, layer]));
  }

  /** @returns names of the layers that are convolutions now */
  visit(layer: Layer, isFirst: boolean): string[] {
    const { className, name } = layer;
    const leave = (reason: string): string[] => {
      this.into.left.push({ name, op: className, reason });
      return [];
    };
    if (layer.nested) return [];
    const { isKnown, dense = true, trained } = this.options;
    if (trained) {
      const found = trained.get(name);
      if (!found) return [];
      return typeof found === 'string' ? leave(found) : this.fold(layer, found, isFirst);
    }
    if (Object.hasOwn(LEFT, className)) return leave(LEFT[className]!);
    if (!isConvolutionClass(className)) {
      return isKnown(className) ? [] : leave('TensorFlow.js knows no such class of layers');
    }
    if (className === 'Dense' && !dense) return leave('dense layers are not asked for');
    const found = readLayer(layer, this.weights, this.file);
    return typeof found === 'string' ? leave(found) : this.fold(layer, found, isFirst);
  }

  private fold(layer: Layer, found: FoundLayers, isFirst: boolean): string[] {
    const [first, last] = [found.convolutions[0]!, found.convolutions.at(-1)!];
    const isShared = layer.calls.length !== 1 || layer.calls[0]!.length > 1;
    const before = isShared ? null : this.absorbPadding(layer, first);
    const behind = isShared || found.outerActivation !== null ? [] : this.follow(layer, last);
    this.replace(layer, before, behind, found.convolutions, found.outerActivation, isFirst);
    return [behind.at(-1)?.name ?? layer.name];
  }

  /** The one layer that reads this one, if that is all that does. */
  private soleReader(name: string): Layer | null {
    if (this.container.outputs.has(name)) return null;
    const readers: { layer: Layer; reference: LayerReference }[] = [];
    for (const layer of this.container.layers) {
      for (const reference of layer.calls.flat())
        if (reference.layer === name) readers.push({ layer, reference });
    }
    const [only, another] = readers;
    if (!only || another || only.reference.output !== 0) return null;
    const { calls } = only.layer;
    return calls.length === 1 && calls[0]!.length === 1 ? only.layer : null;
  }

  /** Walks along the layers behind a convolution and takes them in. */
  private follow(start: Layer, convolution: Convolution): Layer[] {
    const taken: Layer[] = [];
    const rank = convolution.isDense ? rankOf(start, this.byName) : 4;
    for (let at = start; ; ) {
      const next = this.soleReader(at.name);
      if (!next || !absorbLayer(convolution, next, rank, this.weights, this.file)) return taken;
      taken.push(next);
      convolution.folded.push(next.name);
      at = next;
    }
  }

  /** A border of zeros before a convolution without padding is the convolution's padding. */
  private absorbPadding(layer: Layer, convolution: Convolution): Layer | null {
    const before = this.byName.get(layer.calls[0]?.[0]?.layer ?? '');
    if (before?.className !== 'ZeroPadding2D' || before.calls.length !== 1) return null;
    if (convolution.pad !== 'valid' || convolution.isDense || this.soleReader(before.name) !== layer) {
      return null;
    }
    const border = zeroBorder(before, this.file);
    if (!border) return null;
    convolution.pad = border;
    convolution.folded.unshift(before.name);
    return before;
  }

  private replace(
    layer: Layer,
    before: Layer | null,
    behind: readonly Layer[],
    convolutions: readonly Convolution[],
    outerActivation: string | null,
    isFirst: boolean,
  ): void {
    const { layers } = this.container;
    const gone = new Set([layer, ...behind, ...(before ? [before] : [])]);
    for (const each of gone) this.weights.take(each);
    const last = behind.at(-1) ?? layer;
    let calls = (before ?? layer).calls;
    const places = convolutions.map((convolution, n): Layer => {
      const isLast = n === convolutions.length - 1;
      const name = isLast ? last.name : this.freeName(`${layer.name}_depthwise`);
      const place: Layer = { ...last, name, className: FOLDED_CLASS, calls, nested: null };
      calls = calls.map((_, call) => [{ layer: name, call, output: 0 }]);
      this.into.convolutions.set(name, {
        ...convolution,
        outerActivation: isLast ? outerActivation : null,
        isFirst: isFirst && n === 0,
        head: (before ?? layer).config,
      });
      return place;
    });
    // In a Sequential the place follows from the order; what was taken in stands side by side there.
    const at = layers.findIndex((each) => gone.has(each));
    this.container.layers = layers.filter((each) => !gone.has(each));
    this.container.layers.splice(at, 0, ...places);
  }

  private freeName(wanted: string): string {
    let name = wanted;
    for (let n = 1; this.byName.has(name); n++) name = `${wanted}_${n}`;
    return name;
  }
}

function zeroBorder(layer: Layer, file: string): Exclude<Convolution['pad'], string> | null {
  const config = new LayerConfig(layer, file);
  if (!/^channels_?last$/i.test(config.string('data_format', 'channels_last'))) return null;
  const padding = config.value('padding', 1);
  const [vertical, horizontal] = Array.isArray(padding) ? padding : [padding, padding];
  const sides = [vertical, horizontal].flatMap((side) => (Array.isArray(side) ? side : [side, side]));
  if (sides.length !== 4 || !sides.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new LayerError(
      file,
      layer,
      `has padding ${JSON.stringify(padding)}; expected a number of pixels for each side`,
    );
  }
  const [top, bottom, left, right] = sides as [number, number, number, number];
  return { top, bottom, left, right };
}
