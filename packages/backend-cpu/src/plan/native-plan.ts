/**
 * From a program to a plan of the native addon. The one decision made here is the format of every value: activations that DSConv reads are
 * written as BFP images by the step that makes them, and exist as float32 only where something reads float32.
 */
import type { BfpFormat, CompiledPlan, ValueId } from '@dsconv/core';
import { DSConvFilter } from '@dsconv/core';
import type {
  BufferDescription,
  BufferId,
  NativePlan,
  PackedFilter,
  Sink,
  StepDescription,
} from '../../native/interface.js';
import { callRecord, windowOf } from '../native/call-record.js';
import { ACTIVATION, BINARY, UNARY } from '../native/codes.js';
import type { NativeEngine } from '../native/engine.js';
import { type ConvolutionStep, type Program, readsOf, type Step } from './program.js';

type Image = Extract<BufferDescription, { format: 'bfp' }>;

/** Buffers that hold one value. */
interface Placement {
  float: BufferId | null;
  images: Map<string, BufferId>;
}

export class NativeCompiledPlan implements CompiledPlan {
  /** What the native steps do, in their order: a step of the program, or null for a change of format between two of them. */
  readonly steps: readonly (Step | null)[];
  private readonly plan: NativePlan;
  /** Packings that only this plan has: those of float filters. */
  private readonly filters: PackedFilter[];

  /** @param profile measure every step */
  constructor(engine: NativeEngine, program: Program, profile = false) {
    const builder = new PlanBuilder(engine, program);
    this.filters = builder.filters;
    this.steps = builder.sources;
    try {
      this.plan = engine.native.createPlan({ ...builder.build(), profile });
    } catch (error) {
      this.releaseFilters();
      throw error;
    }
  }

  get arenaBytes(): number {
    return this.plan.arenaBytes;
  }

  get liveBytes(): number {
    return this.plan.liveBytes;
  }

  /** Microseconds of each step in the last run, of plans made with `profile`. */
  get profile(): Float64Array | null {
    return this.plan.profile;
  }

  run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    return this.plan.run([...inputs], [...outputs]);
  }

  dispose(): void {
    this.plan.dispose();
    this.releaseFilters();
  }

  /** The plan holds on to what it still needs. */
  private releaseFilters(): void {
    for (const filter of this.filters) filter.dispose();
  }
}

class PlanBuilder {
  readonly filters: PackedFilter[] = [];
  readonly sources: (Step | null)[] = [];
  private readonly buffers: BufferDescription[] = [];
  private readonly steps: StepDescription[] = [];
  private readonly placements = new Map<ValueId, Placement>();
  private readonly packed = new Map<ConvolutionStep, PackedFilter>();

  constructor(
    private readonly engine: NativeEngine,
    private readonly program: Program,
  ) {
    for (const step of program.steps) if (step.op === 'convolution') this.pack(step);
  }

  build() {
    const { program } = this;
    const images = this.wantedImages();
    const floats = this.wantedFloats(images);
    const inputs = program.inputs.map((value) => this.floatBuffer(value));
    for (const [n, value] of program.inputs.entries()) {
      const sinks = this.imageBuffers(value, images);
      this.placements.set(value, { float: inputs[n]!, images: sinks });
      this.convert(inputs[n]!, [...sinks.values()]);
    }
    for (const step of program.steps) this.emit(step, images, floats);
    const outputs = program.outputs.map((value) => this.placements.get(value)!.float!);
    return { buffers: this.buffers, steps: this.steps, inputs, outputs };
  }

  private pack(step: ConvolutionStep): void {
    const { filter, geometry: g } = step;
    if (filter instanceof DSConvFilter) {
      // The one that eager calls use: two would double what a network keeps.
      this.packed.set(step, this.engine.packed(filter, g.groups));
      return;
    }
    if (step.depthwise) return;
    const taps = g.kernelHeight * g.kernelWidth;
    const depth = g.inChannels / g.groups;
    const packed = this.engine.native.packConv2d(filter, taps, depth, g.outChannels, g.groups);
    this.filters.push(packed);
    this.packed.set(step, packed);
  }

  /** For each value, the images that its readers want, by key. */
  private wantedImages(): Map<ValueId, Map<string, Image>> {
    const wanted = new Map<ValueId, Map<string, Image>>();
    const depthwise: [ValueId, Image][] = [];
    for (const step of this.program.steps) {
      if (step.op !== 'convolution') continue;
      const image = this.imageOf(step);
      if (!image) continue;
      if (step.depthwise) {
        depthwise.push([step.input, image]);
        continue;
      }
      if (!wanted.has(step.input)) wanted.set(step.input, new Map());
      wanted.get(step.input)!.set(keyOf(image), image);
    }
    // A depthwise convolution reads an image whatever width of weights it was made for.
    for (const [value, image] of depthwise) {
      if (!wanted.has(value)) wanted.set(value, new Map());
      const images = wanted.get(value)!;
      if (![...images.values()].some((other) => samePartition(other, image))) images.set(keyOf(image), image);
    }
    for (const [value, image] of this.residualImages(wanted))
      wanted.set(value, new Map([[keyOf(image), image]]));
    return wanted;
  }

  /** Values on a BFP grid that are only ever added: they need no float32 either. */
  private *residualImages(wanted: ReadonlyMap<ValueId, unknown>): Iterable<[ValueId, Image]> {
    const { steps, outputs } = this.program;
    for (const maker of steps) {
      if (maker.op !== 'convolution' || !maker.outputFormat) continue;
      const value = maker.output;
      const readers = steps.filter((step) => readsOf(step).includes(value));
      const added = readers.every((step) => step.op === 'convolution' && step.input !== value);
      if (!added || wanted.has(value) || outputs.includes(value)) continue;
      const { bits: mantissa, blockSize: block, groups } = maker.outputFormat;
      const { batch, outHeight, outWidth, outChannels: channels } = maker.geometry;
      const pixels = batch * outHeight * outWidth;
      yield [value, { format: 'bfp', pixels, channels, groups, block, mantissa, storage: 4, sums: false }];
    }
  }

  /** The image a convolution reads, or null where it reads float32. */
  private imageOf(step: ConvolutionStep): Image | null {
    const { filter, geometry: g, activationBits } = step;
    if (!(filter instanceof DSConvFilter) || activationBits === null) return null;
    if (!step.depthwise && this.packed.get(step)!.imageKey === '') return null;
    return {
      format: 'bfp',
      pixels: g.batch * g.inHeight * g.inWidth,
      channels: g.inChannels,
      groups: g.groups,
      block: filter.blockSize,
      mantissa: activationBits,
      storage: filter.bits <= 2 ? 2 : filter.bits <= 4 ? 4 : 8,
      sums: filter.stored('kdsBias') !== undefined || filter.stored('cdsBias') !== undefined,
    };
  }

  /** Values that somebody reads as float32. */
  private wantedFloats(images: Map<ValueId, Map<string, Image>>): Set<ValueId> {
    const floats = new Set<ValueId>(this.program.outputs);
    const makers = new Map(this.program.steps.map((step) => [step.output, step]));
    for (const step of this.program.steps) {
      if (step.op === 'convolution') {
        if (!this.imageOf(step)) floats.add(step.input);
        if (step.residual !== null && !exactImage(makers.get(step.residual), images.get(step.residual))) {
          floats.add(step.residual);
        }
        continue;
      }
      for (const value of readsOf(step)) floats.add(value);
    }
    return floats;
  }

  private emit(step: Step, images: Map<ValueId, Map<string, Image>>, floats: Set<ValueId>): void {
    const sinks = this.imageBuffers(step.output, images);
    const float = floats.has(step.output) || sinks.size === 0 ? this.floatBuffer(step.output) : null;
    this.placements.set(step.output, { float, images: sinks });
    const row = rowOf(step) ?? this.program.channels.get(step.output)!;
    const direct = (id: BufferId): boolean =>
      writesImages(step) && (this.buffers[id] as Image).channels === row;
    if (![...sinks.values()].every(direct)) {
      const made = float ?? this.floatBuffer(step.output);
      this.push(step, this.describe(step, made));
      this.convert(made, [...sinks.values()]);
      return;
    }
    const all = [...(float === null ? [] : [float]), ...sinks.values()];
    this.push(step, this.describe(step, all.length === 1 ? all[0]! : all));
  }

  private push(source: Step | null, step: StepDescription): void {
    this.steps.push(step);
    this.sources.push(source);
  }

  /** Quantizes; images of one value may see it with different numbers of channels, through reshapes. */
  private convert(from: BufferId, to: BufferId[]): void {
    for (const output of to) {
      const { pixels, channels } = this.buffers[output] as Image;
      this.push(null, { op: 'convert', input: from, output, pixels, channels });
    }
  }

  private floatBuffer(value: ValueId): BufferId {
    return this.buffers.push({ format: 'f32', length: this.program.sizes.get(value)! }) - 1;
  }

  private imageBuffers(value: ValueId, images: Map<ValueId, Map<string, Image>>): Map<string, BufferId> {
    const wanted = [...(images.get(value) ?? [])];
    return new Map(wanted.map(([key, image]) => [key, this.buffers.push(image) - 1]));
  }

  private float(value: ValueId): BufferId {
    return this.placements.get(value)!.float!;
  }

  private describe(step: Step, output: Sink): StepDescription {
    switch (step.op) {
      case 'convolution':
        return this.convolution(step, output);
      case 'pool':
        return {
          op: step.kind === 'max' ? 'maxPool' : 'avgPool',
          input: this.float(step.input),
          output,
          window: windowOf(step.geometry),
        };
      case 'mean': {
        const { batch, pixels: hw, channels } = step;
        return { op: 'meanHW', input: this.float(step.input), output, batch, hw, channels };
      }
      case 'matMul': {
        const { op, batch, m, k, n, transposeA, transposeB, aStride, bStride, bias, slopes } = step;
        const b = typeof step.b === 'number' ? this.float(step.b) : step.b;
        const shape = { batch, m, k, n, transposeA, transposeB, aStride, bStride };
        const activation = ACTIVATION[step.activation];
        const alpha = step.leakyreluAlpha;
        return {
          op,
          a: this.float(step.a),
          b,
          output: output as BufferId,
          ...shape,
          bias,
          activation,
          alpha,
          alphas: slopes,
        };
      }
      case 'binary': {
        const b = typeof step.b === 'number' ? this.float(step.b) : step.b;
        const { op, count: n, period } = step;
        const channels = this.program.channels.get(step.output)!;
        const activation = ACTIVATION[step.activation];
        return {
          op,
          code: BINARY[step.code],
          a: this.float(step.a),
          b,
          output,
          n,
          period,
          channels,
          activation,
        };
      }
      case 'unary': {
        const { op, count: n, alpha, slopes } = step;
        const code = UNARY[step.code];
        const channels = this.program.channels.get(step.output)!;
        const period = slopes?.length ?? 1;
        return {
          op,
          code,
          input: this.float(step.input),
          output,
          n,
          alpha,
          alphas: slopes,
          period,
          channels,
        };
      }
      case 'scaleShift': {
        const { op, scale, shift, count: n } = step;
        const activation = ACTIVATION[step.activation];
        return {
          op,
          input: this.float(step.input),
          scale,
          shift,
          output,
          n,
          channels: scale.length,
          activation,
        };
      }
      case 'softmax': {
        const { op, rows, channels } = step;
        return { op, input: this.float(step.input), output: output as BufferId, rows, channels };
      }
      case 'concat': {
        const { op, channels, pixels } = step;
        return { op, inputs: step.inputs.map((value) => this.float(value)), channels, output, pixels };
      }
      case 'pad': {
        const { op, batch, height: inH, width: inW, channels, top, bottom, left, right, value } = step;
        return {
          op,
          input: this.float(step.input),
          output,
          batch,
          inH,
          inW,
          channels,
          top,
          bottom,
          left,
          right,
          value,
        };
      }
    }
  }

  private convolution(step: ConvolutionStep, output: Sink): StepDescription {
    const { geometry, filter, bias, slopes, outputFormat } = step;
    const image = this.imageOf(step);
    const input = image ? this.image(step.input, image, step.depthwise) : this.float(step.input);
    const base = {
      call: callRecord(geometry, {
        activation: step.activation,
        mantissa: step.activationBits ?? 0,
        outputFormat,
        multiplier: step.multiplier,
        block: filter instanceof DSConvFilter ? filter.blockSize : 0,
      }),
      input,
      output,
      bias,
      alphas: slopes,
      alpha: step.leakyreluAlpha,
      ...(step.residual === null ? {} : { residual: this.residual(step.residual) }),
    };
    if (filter instanceof DSConvFilter) {
      return { op: step.depthwise ? 'dsDepthwise' : 'dsconv2d', filter: this.packed.get(step)!, ...base };
    }
    return step.depthwise
      ? { op: 'depthwise', w: filter, ...base }
      : { op: 'conv2d', filter: this.packed.get(step)!, ...base };
  }

  private image(value: ValueId, image: Image, anyStorage: boolean): BufferId {
    const { images } = this.placements.get(value)!;
    const exact = images.get(keyOf(image));
    if (exact !== undefined || !anyStorage) return exact!;
    return [...images.values()].find((id) => samePartition(this.buffers[id] as Image, image))!;
  }

  /** float32 where it exists, else an image that holds exactly the same numbers. */
  private residual(value: ValueId): BufferId {
    const { float, images } = this.placements.get(value)!;
    return float ?? [...images.values()][0]!;
  }
}

function keyOf(image: Image): string {
  return [image.channels, image.mantissa, image.block, image.groups, image.storage, image.sums].join();
}

/** Two kinds of steps write float32 only. */
function writesImages(step: Step): boolean {
  return step.op !== 'matMul' && step.op !== 'softmax';
}

/** Length of the rows in which a step writes, or null for steps that are told. */
function rowOf(step: Step): number | null {
  switch (step.op) {
    case 'convolution':
    case 'pool':
      return step.geometry.outChannels;
    case 'mean':
    case 'pad':
      return step.channels;
    case 'concat':
      return step.channels.reduce((a, b) => a + b, 0);
    case 'scaleShift':
      return step.scale.length;
    default:
      return null;
  }
}

function samePartition(a: Image, b: Pick<Image, 'channels' | 'mantissa' | 'block' | 'groups'>): boolean {
  return (
    a.channels === b.channels && a.mantissa === b.mantissa && a.block === b.block && a.groups === b.groups
  );
}

/** Whether the only images of a value are of the very grid its maker rounds to, so that they hold it exactly. */
function exactImage(maker: Step | undefined, images: Map<string, Image> | undefined): boolean {
  if (!images || images.size === 0 || maker?.op !== 'convolution' || !maker.outputFormat) return false;
  const { bits, blockSize, groups }: Required<BfpFormat> = maker.outputFormat;
  const { outChannels: channels } = maker.geometry;
  return [...images.values()].every((image) =>
    samePartition(image, { channels, mantissa: bits, block: blockSize, groups }),
  );
}
