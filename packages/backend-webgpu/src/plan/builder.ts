/** From a program to a list of dispatches. They are described first, then memory is laid out, then bind groups are made. */
import {
  type ConvolutionStep,
  chooseFormats,
  DSConvFilter,
  type Formats,
  type Operand,
  type Program,
  type Step,
  type ValueId,
} from '@dsconv/core';
import type { Slice } from '../gpu/buffers.js';
import type { Epilogue } from '../gpu/call.js';
import type { Dispatch } from '../gpu/dispatch.js';
import type { GpuState } from '../gpu/state.js';
import { quantizeVariant, type Variant } from '../gpu/variants.js';
import {
  type ConvolutionCall,
  convolutionDispatch,
  quantizeDispatch,
  roundDispatch,
  roundsItself,
  variantOf,
} from '../kernels/convolution.js';
import { type ImageLayout, sameLayout } from '../layout/image.js';
import { followsQuads, formatRules, gridOf, readImage } from './formats.js';
import { Memory, type Place } from './memory.js';
import { describeStep, type StepCall } from './steps.js';
import { PlanWeights } from './weights.js';

/**
 * Products of a plan from which on it has shaders for its own kinds of convolutions, on adapters that run on the CPU: those execute every branch, taken or not, and
 * take half a second to compile a shader. Smaller plans are over before that has paid.
 */
const WORTH_SPECIAL = 2 ** 27;

/** Where a value lies. */
interface Value {
  float: Place | null;
  images: { layout: ImageLayout; place: Place }[];
}

export class PlanBuilder {
  readonly memory = new Memory();
  readonly variants: Variant[] = [];
  /** A call of each shader that was made for one kind of calls, by the shader's key. */
  readonly specials = new Map<string, ConvolutionCall>();
  private readonly values = new Map<ValueId, Value>();
  /** Dispatches that wait for their buffers. */
  private readonly pending: (() => Dispatch)[] = [];
  private readonly formats: Formats<ImageLayout>;
  private readonly weights: PlanWeights;
  private readonly special: boolean;

  constructor(
    private readonly state: GpuState,
    readonly program: Program,
  ) {
    this.weights = new PlanWeights(state);
    this.special = state.tier === 'wide' && productsOf(program) >= WORTH_SPECIAL;
    this.formats = chooseFormats(program, formatRules);
    for (const value of program.inputs) {
      const float = this.memory.place(4 * program.sizes.get(value)!, -1);
      // The next run may be written while the last one is not read yet: neither inputs nor outputs share memory.
      float.last = Number.POSITIVE_INFINITY;
      this.values.set(value, { float, images: [] });
      this.makeImages(value);
    }
    for (const step of program.steps) this.emit(step);
    for (const value of program.outputs) this.floatOf(value).last = Number.POSITIVE_INFINITY;
  }

  /** Makes buffers and bind groups; pipelines are compiled by then. */
  finish(): Dispatch[] {
    this.memory.allocate(this.state.device);
    return this.pending.map((make) => make());
  }

  /** The float32 place of an input or output. */
  floatOf(value: ValueId): Place {
    return this.values.get(value)!.float!;
  }

  free(): void {
    this.memory.free();
    this.weights.free();
  }

  private emit(step: Step): void {
    if (step.op === 'convolution') {
      this.emitConvolution(step);
      return;
    }
    const y = this.newFloat(step.output);
    for (const call of describeStep(step)) this.emitStep(call, y);
    this.makeImages(step.output);
  }

  private emitStep(call: StepCall, y: Place): void {
    const a = this.use(this.floatOf(call.a));
    const [b, c] = [this.operand(call.b), this.operand(call.c)];
    this.add(call.variant, () =>
      call.dispatch(this.state, { a: a(), b: b(), c: c(), y: this.memory.slice(y) }),
    );
    this.touch(y);
  }

  private emitConvolution(step: ConvolutionStep): void {
    const { state } = this;
    const wanted = this.formats.images.get(step.output) ?? [];
    const floatWanted = this.formats.floats.has(step.output);
    const grid = step.outputFormat;
    const fusesGrid = grid !== null && roundsItself(state, grid, step.geometry, step.depthwise);
    const own = gridOf(step);
    // The image that the epilogue writes: of the grid the result lies on, or the only form anybody reads.
    const image = fusesGrid
      ? wanted.find((other) => sameLayout(other, own!))
      : grid === null && !floatWanted && wanted.length === 1 && this.writesImage(step, wanted[0]!)
        ? wanted[0]
        : undefined;
    const others = wanted.filter((other) => other !== image);
    const writesFloat = floatWanted || others.length > 0 || image === undefined;
    const value: Value = { float: null, images: [] };
    this.values.set(step.output, value);
    const input = readImage(step);
    const call: ConvolutionCall = {
      geometry: step.geometry,
      depthwise: step.depthwise,
      multiplier: step.multiplier,
      blockSize: step.filter instanceof DSConvFilter ? step.filter.blockSize : Number.POSITIVE_INFINITY,
      filter: this.weights.filter(step),
      image: input,
      epilogue: {
        bias: step.bias !== null,
        residual: null,
        activation: step.activation,
        leakyreluAlpha: step.leakyreluAlpha,
        round: fusesGrid ? grid : image ? formatOf(image) : null,
        writesFloat,
        image: image ?? null,
      },
      special: this.special,
    };
    this.emitCall(step, call, value);
    if (grid !== null && !fusesGrid) this.roundInPlace(step, value.float!);
    this.makeImages(step.output);
  }

  private emitCall(step: ConvolutionStep, call: ConvolutionCall, value: Value): void {
    const { epilogue, image: input } = call;
    const x = this.use(input ? this.imageOf(step.input, input) : this.floatOf(step.input));
    const residual = this.residual(step, epilogue);
    const [bias, slopes] = [this.operand(step.bias), this.operand(step.slopes)];
    const now = this.pending.length;
    const y = epilogue.writesFloat ? this.memory.place(4 * this.program.sizes.get(step.output)!, now) : null;
    const image = epilogue.image ? this.memory.place(epilogue.image.byteLength, now) : null;
    value.float = y;
    if (image) value.images.push({ layout: epilogue.image!, place: image });
    const variant = variantOf(this.state, call);
    if (variant.special) this.specials.set(variant.key, call);
    this.add(variant, () =>
      convolutionDispatch(this.state, call, {
        input: x()!,
        bias: bias(),
        slopes: slopes(),
        residual: residual(),
        result: y && this.memory.slice(y),
        image: image && this.memory.slice(image),
      }),
    );
  }

  /** Reads the residual from an image where there is one that holds it exactly. */
  private residual({ residual }: ConvolutionStep, epilogue: Epilogue): () => Slice | null {
    if (residual === null) return () => null;
    const image = this.formats.residuals.get(residual);
    epilogue.residual = image ?? 'float';
    return this.use(image ? this.imageOf(residual, image) : this.floatOf(residual));
  }

  private writesImage({ geometry, depthwise }: ConvolutionStep, image: ImageLayout): boolean {
    return followsQuads(image) && roundsItself(this.state, formatOf(image), geometry, depthwise);
  }

  private roundInPlace({ geometry: g, outputFormat }: ConvolutionStep, y: Place): void {
    const rows = g.batch * g.outHeight * g.outWidth;
    const result = this.use(y);
    this.add(quantizeVariant(false), () =>
      roundDispatch(this.state, rows, g.outChannels, outputFormat!, result()!),
    );
  }

  /** Quantizes a value to the images that are wanted of it and not there yet. */
  private makeImages(value: ValueId): void {
    const made = this.values.get(value)!;
    for (const layout of this.formats.images.get(value) ?? []) {
      if (made.images.some((image) => sameLayout(image.layout, layout))) continue;
      const x = this.use(made.float!);
      const place = this.memory.place(layout.byteLength, this.pending.length);
      made.images.push({ layout, place });
      this.add(quantizeVariant(true), () =>
        quantizeDispatch(this.state, layout, x()!, this.memory.slice(place)),
      );
    }
  }

  private imageOf(value: ValueId, layout: ImageLayout): Place {
    return this.values.get(value)!.images.find((image) => sameLayout(image.layout, layout))!.place;
  }

  private newFloat(value: ValueId): Place {
    const float = this.memory.place(4 * this.program.sizes.get(value)!, this.pending.length);
    this.values.set(value, { float, images: [] });
    return float;
  }

  /** Notes that the dispatch which is described now reads a place. */
  private use(place: Place): () => Slice | null {
    place.last = Math.max(place.last, this.pending.length);
    return () => this.memory.slice(place);
  }

  /** Notes that the dispatch described last writes a place. */
  private touch(place: Place): void {
    place.last = Math.max(place.last, this.pending.length - 1);
  }

  /** A value, a constant that is uploaded, or nothing. */
  private operand(operand: Operand | null): () => Slice | null {
    if (operand === null) return () => null;
    if (typeof operand === 'number') return this.use(this.floatOf(operand));
    const buffer = this.weights.constant(operand);
    return () => ({ buffer });
  }

  private add(variant: Variant, make: () => Dispatch): void {
    this.variants.push(variant);
    this.pending.push(make);
  }
}

function productsOf({ steps }: Program): number {
  return steps.reduce((sum, step) => {
    if (step.op !== 'convolution') return sum;
    const { geometry: g, depthwise } = step;
    const window = g.kernelHeight * g.kernelWidth * (depthwise ? 1 : g.inChannels / g.groups);
    return sum + g.batch * g.outHeight * g.outWidth * g.outChannels * window;
  }, 0);
}

function formatOf({ bits, blockSize, groups }: ImageLayout) {
  return { bits, blockSize, groups };
}
