/**
 * From a program to launches. Each step of a plan is a function that launches its kernels; it asks for addresses while it runs. All of them run once without
 * doing anything, which tells how long each place in memory is needed, and then once for each graph.
 */
import {
  type CompileOptions,
  type ConvolutionStep,
  chooseFormats,
  DSConvFilter,
  type Formats,
  type Program,
  type Step,
  type ValueId,
} from '@dsconv/core';
import type { CudaBackend } from '../backend.js';
import type { Stream } from '../device/device.js';
import type { Launcher } from '../device/launch.js';
import { type ConvolutionCall, launchConvolution } from '../dsconv/convolution.js';
import { deviceFilter, type PackedDeviceFilter } from '../dsconv/filters.js';
import { launchQuantize } from '../dsconv/round.js';
import { formatOf, type ImageLayout, sameLayout } from '../layout/image.js';
import { formatRules, gridOf, gridRead, readImage } from './formats.js';
import { type Place, PlanMemory } from './memory.js';
import { Recorder, Rehearsal } from './recorder.js';
import { launchFloatConvolution, launchStep, type StepOperands } from './steps.js';
import { PlanWeights } from './weights.js';

/** Where a value lies. */
interface Value {
  float: Place | null;
  images: { layout: ImageLayout; place: Place }[];
}

type Launches = (launcher: Launcher) => void;

/** What is launched for a step, or to round a value for its readers. */
interface Part {
  step: Step | null;
  launch: Launches;
}

export class PlanBuilder {
  readonly memory = new PlanMemory();
  private readonly values = new Map<ValueId, Value>();
  private readonly parts: Part[] = [];
  private readonly formats: Formats<ImageLayout>;
  private readonly weights: PlanWeights;
  private readonly rehearsal: Rehearsal;

  constructor(
    private readonly backend: CudaBackend,
    readonly program: Program,
  ) {
    this.weights = new PlanWeights(backend);
    this.rehearsal = new Rehearsal(backend.device, backend.tier, this.memory);
    this.formats = chooseFormats(program, formatRules);
    for (const value of program.inputs) {
      // Written before the first step.
      this.memory.need(this.newFloat(value), -1);
      this.makeImages(value);
    }
    for (const step of program.steps) this.emit(step);
  }

  /**
   * Uploads weights and lays memory out.
   *
   * @throws TraceError for what plans of this backend do not know
   * @throws OutOfMemoryError
   */
  finish({ onProgress }: CompileOptions): void {
    const count = this.parts.length;
    this.parts.forEach(({ launch }, n) => {
      this.memory.now = n;
      launch(this.rehearsal);
      onProgress?.(n + 1, count, 'weights');
    });
    // Read after the last step.
    for (const value of this.program.outputs) this.memory.need(this.floatOf(value), count);
    this.memory.layOut();
  }

  /** The steps in the order of `record`; null where a value is rounded for its readers. */
  get steps(): readonly (Step | null)[] {
    return this.parts.map(({ step }) => step);
  }

  /**
   * Puts everything on a stream, working in the memory at `base`.
   *
   * @param before called before each of `steps`
   */
  record(base: number, stream: Stream, before?: (n: number) => void): void {
    this.memory.base = base;
    const recorder = new Recorder(this.rehearsal, this.memory, stream);
    this.parts.forEach(({ launch }, n) => {
      before?.(n);
      launch(recorder);
    });
  }

  /** The float32 place of an input or output. */
  floatOf(value: ValueId): Place {
    return this.values.get(value)!.float!;
  }

  free(): void {
    this.weights.free();
  }

  private emit(step: Step): void {
    if (step.op === 'convolution') this.emitConvolution(step);
    else {
      const y = this.newFloat(step.output);
      this.add(step, (launcher) => launchStep(launcher, step, this.operands, this.memory.at(y)));
    }
    this.makeImages(step.output);
  }

  private emitConvolution(step: ConvolutionStep): void {
    const { filter } = step;
    if (filter instanceof DSConvFilter) this.emitQuantized(step, filter);
    else {
      const weights = filter;
      const y = this.newFloat(step.output);
      this.add(step, (launcher) =>
        launchFloatConvolution(launcher, step, weights, this.operands, this.memory.at(y)),
      );
    }
  }

  private emitQuantized(step: ConvolutionStep, filter: DSConvFilter): void {
    const value: Value = { float: null, images: [] };
    this.values.set(step.output, value);
    const { image, writesFloat } = this.written(step);
    if (writesFloat) value.float = this.memory.place(4 * this.program.sizes.get(step.output)!);
    if (image) value.images.push({ layout: image, place: this.memory.place(image.byteLength) });
    const input = readImage(step);
    const residual = step.residual === null ? null : (this.formats.residuals.get(step.residual) ?? 'float');
    const call: Omit<ConvolutionCall, 'filter'> = {
      geometry: step.geometry,
      depthwise: step.depthwise,
      multiplier: step.multiplier,
      image: gridRead(step, filter),
      readsImage: input !== null,
      epilogue: {
        bias: step.bias !== null,
        residual,
        activation: step.activation,
        leakyreluAlpha: step.leakyreluAlpha,
        round: step.outputFormat ?? (image && formatOf(image)),
        writesFloat,
        image,
      },
    };
    const packed = this.hold(filter, step);
    const { operands, memory } = this;
    this.add(step, (launcher) =>
      launchConvolution(
        launcher,
        { ...call, filter: packed },
        {
          input: this.address(step.input, input ?? 'float'),
          bias: operands.optional(step.bias),
          slopes: operands.optional(step.slopes),
          residual: residual === null ? 0 : this.address(step.residual!, residual),
          result: value.float ? memory.at(value.float) : 0,
          image: image ? memory.at(value.images[0]!.place) : 0,
        },
      ),
    );
  }

  /** The image that a convolution's epilogue writes: of the grid the result lies on, or the only form anybody reads. */
  private written(step: ConvolutionStep): { image: ImageLayout | null; writesFloat: boolean } {
    const wanted = this.formats.images.get(step.output) ?? [];
    const floatWanted = this.formats.floats.has(step.output);
    const own = gridOf(step);
    const image = own
      ? wanted.find((other) => sameLayout(other, own))
      : floatWanted || wanted.length !== 1
        ? undefined
        : wanted[0];
    const others = wanted.filter((other) => other !== image);
    return { image: image ?? null, writesFloat: floatWanted || others.length > 0 || image === undefined };
  }

  /** A filter, which stays while the plan lives, whoever disposes of it. */
  private hold(filter: DSConvFilter, { geometry: g, activationBits }: ConvolutionStep) {
    const packed = deviceFilter(this.backend, filter, g.groups, activationBits);
    const { weights, scales = 0, shifts = 0 } = packed as Partial<PackedDeviceFilter> & { weights: number };
    for (const address of [weights, scales, shifts]) {
      this.backend.retain(address);
      this.weights.hold(() => this.backend.free(address));
    }
    return packed;
  }

  /** Quantizes a value to the images that are wanted of it and not there yet. */
  private makeImages(value: ValueId): void {
    const made = this.values.get(value)!;
    for (const layout of this.formats.images.get(value) ?? []) {
      if (made.images.some((image) => sameLayout(image.layout, layout))) continue;
      const place = this.memory.place(layout.byteLength);
      made.images.push({ layout, place });
      const { memory } = this;
      this.add(null, (launcher) =>
        launchQuantize(launcher, layout, memory.at(made.float!), memory.at(place)),
      );
    }
  }

  private add(step: Step | null, launch: Launches): void {
    this.parts.push({ step, launch });
  }

  private newFloat(value: ValueId): Place {
    const float = this.memory.place(4 * this.program.sizes.get(value)!);
    this.values.set(value, { float, images: [] });
    return float;
  }

  /** The address of a value in one of its forms. */
  private address(value: ValueId, form: 'float' | ImageLayout): number {
    if (form === 'float') return this.memory.at(this.floatOf(value));
    const { images } = this.values.get(value)!;
    return this.memory.at(images.find(({ layout }) => sameLayout(layout, form))!.place);
  }

  private readonly operands: StepOperands = {
    value: (value) => this.address(value, 'float'),
    constant: (values) => this.weights.constant(values),
    optional: (values) => (values ? this.weights.constant(values) : 0),
  };
}
