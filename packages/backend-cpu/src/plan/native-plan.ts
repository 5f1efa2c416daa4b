/** From a program to a plan of the native addon: buffers, steps, and the packings they refer to. */
import {
  type CompiledPlan,
  type ConvolutionStep,
  DSConvFilter,
  type Program,
  type Step,
  type ValueId,
} from '@dsconv/core';
import type {
  BufferDescription,
  BufferId,
  NativePlan,
  PackedFilter,
  Sink,
  StepDescription,
} from '../../native/interface.js';
import { callRecord } from '../native/call-record.js';
import type { NativeEngine } from '../native/engine.js';
import {
  Formats,
  type Image,
  type Images,
  keyOf,
  rowOf,
  samePartition,
  writesImages,
} from './native-formats.js';
import { describeStep } from './native-steps.js';

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
    engine.trimSoon();
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
  private readonly formats: Formats;

  constructor(
    private readonly engine: NativeEngine,
    private readonly program: Program,
  ) {
    for (const step of program.steps) if (step.op === 'convolution') this.pack(step);
    this.formats = new Formats(program, (step) => this.packed.get(step)!.imageKey !== '');
  }

  build() {
    const { program } = this;
    const { images, floats } = this.formats.choose();
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

  private emit(step: Step, images: Images, floats: Set<ValueId>): void {
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

  private imageBuffers(value: ValueId, images: Images): Map<string, BufferId> {
    const wanted = [...(images.get(value) ?? [])];
    return new Map(wanted.map(([key, image]) => [key, this.buffers.push(image) - 1]));
  }

  private float(value: ValueId): BufferId {
    return this.placements.get(value)!.float!;
  }

  private describe(step: Step, output: Sink): StepDescription {
    if (step.op === 'convolution') return this.convolution(step, output);
    const channels = this.program.channels.get(step.output)!;
    return describeStep(step, output, channels, (value) => this.float(value));
  }

  private convolution(step: ConvolutionStep, output: Sink): StepDescription {
    const { geometry, filter, bias, slopes, outputFormat } = step;
    const image = this.formats.imageOf(step);
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
