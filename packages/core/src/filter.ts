import { packBits, packedByteLength, unpackBits } from './bit-packing.js';
import { DisposedError, InvalidFilterError } from './errors.js';
import { checkScales, type StoredScales, widenScales } from './scales.js';

/** `conv2d` filters are HWIO; `depthwise` filters are `[kh, kw, channels, multiplier]`, TensorFlow.js layouts. */
export type FilterKind = 'conv2d' | 'depthwise';

/** The stored parts of a filter, the paper's names: variable quantized kernel and distribution shifters. */
export interface DSConvFilterParts {
  kind: FilterKind;
  /** conv2d: `[kh, kw, I, O]`, `I` the input channels of one group. depthwise: `[kh, kw, C, multiplier]`. */
  shape: readonly [number, number, number, number];
  /** Weight bits `b`, 2 to 8. */
  bits: number;
  /** Block size `B` along the depth `I` (depthwise: along the `C` channels, for the activations only). */
  blockSize: number;
  /** Variable quantized kernel: integers in the order of `shape`, packed by `packBits`. */
  vqk: Uint8Array;
  /** Kernel distribution shifter, scale, `[kh, kw, ceil(I/B), O]`. Absent means 1: per-channel quantization. */
  kds?: StoredScales | undefined;
  /** Kernel distribution shifter, bias, the shape of `kds`. Absent means 0. */
  kdsBias?: StoredScales | undefined;
  /** Channel distribution shifter, scale, `[O]` (depthwise: `[C * multiplier]`). Absent means 1. */
  cds?: StoredScales | undefined;
  /** Channel distribution shifter, bias, the shape of `cds`. Absent means 0. */
  cdsBias?: StoredScales | undefined;
}

/** Names of the four kinds of shifters. */
export type ShifterName = 'kds' | 'kdsBias' | 'cds' | 'cdsBias';

const SHIFTERS: readonly ShifterName[] = ['kds', 'kdsBias', 'cds', 'cdsBias'];

/**
 * A convolution filter of small integers with one scale per block:
 *
 *     ŵ[kh,kw,i,o] = cds[o] * (kds[kh,kw,j(i),o] * q + kdsBias[kh,kw,j(i),o]) + cdsBias[o],   j(i) = floor(i / B)
 *
 * Immutable. Filters are attributes of an operator, not tensors, because TensorFlow.js has no int8. A backend keeps its own packing of a
 * filter as long as the filter lives; `dispose()` gives that memory, and the filter's own, back at once.
 *
 * Source: arXiv 1901.01928, section 3; NUMERICS §2.
 */
export class DSConvFilter {
  readonly kind: FilterKind;
  readonly shape: readonly [number, number, number, number];
  readonly bits: number;
  readonly blockSize: number;
  private parts: Pick<DSConvFilterParts, ShifterName | 'vqk'> | null;
  private readonly disposalCallbacks = new Set<() => void>();

  /** @throws InvalidFilterError naming the part that does not fit */
  constructor(parts: DSConvFilterParts) {
    checkParts(parts);
    this.kind = parts.kind;
    this.shape = Object.freeze([...parts.shape]) as unknown as DSConvFilter['shape'];
    this.bits = parts.bits;
    this.blockSize = parts.blockSize;
    const { vqk, kds, kdsBias, cds, cdsBias } = parts;
    this.parts = { vqk, kds, kdsBias, cds, cdsBias };
  }

  /** Packs integers `q` in the order of `shape` and builds a filter of them. */
  static fromIntegers(parts: Omit<DSConvFilterParts, 'vqk'>, q: Int8Array): DSConvFilter {
    checkFormat(parts);
    return new DSConvFilter({ ...parts, vqk: packBits(q, parts.bits) });
  }

  /** Weights in the filter. */
  get size(): number {
    return this.shape[0] * this.shape[1] * this.shape[2] * this.shape[3];
  }

  /** Output channels of the convolution. */
  get outChannels(): number {
    return this.kind === 'depthwise' ? this.shape[2] * this.shape[3] : this.shape[3];
  }

  /** Blocks along the depth, `ceil(I / B)`; a depthwise filter has depth 1. */
  get blocks(): number {
    return this.kind === 'depthwise' ? 1 : Math.ceil(this.shape[2] / this.blockSize);
  }

  /** The packed integers. Do not write to them. */
  get vqk(): Uint8Array {
    return this.live().vqk;
  }

  /** One of the shifters as it is stored, or undefined where it is absent. */
  stored(name: ShifterName): StoredScales | undefined {
    return this.live()[name];
  }

  /** One of the shifters widened to float32 in a new array, or null where it is absent. */
  scales(name: ShifterName): Float32Array | null {
    const stored = this.live()[name];
    return stored ? widenScales(stored) : null;
  }

  /** Bytes stored: packed integers and scales. */
  get byteLength(): number {
    const parts = this.live();
    let bytes = parts.vqk.byteLength;
    for (const name of SHIFTERS) bytes += parts[name]?.data.byteLength ?? 0;
    return bytes;
  }

  /** The integers `q`, in the order of `shape`. */
  unpack(): Int8Array {
    return unpackBits(this.live().vqk, this.bits, this.size);
  }

  /** The float weights the filter stands for, `ŵ`, in the order of `shape`, rounded to float32 once. */
  dequantize(): Float32Array {
    const q = this.unpack();
    const kds = this.scales('kds');
    const kdsBias = this.scales('kdsBias');
    const cds = this.scales('cds');
    const cdsBias = this.scales('cdsBias');
    const outputs = this.outChannels;
    const depth = this.kind === 'depthwise' ? 1 : this.shape[2];
    const blocks = this.blocks;
    const out = new Float32Array(q.length);
    for (let n = 0; n < q.length; n++) {
      const o = n % outputs;
      const row = (n - o) / outputs;
      const i = row % depth;
      const tap = (row - i) / depth;
      const block = (tap * blocks + Math.floor(i / this.blockSize)) * outputs + o;
      const shifted = (kds ? kds[block]! : 1) * q[n]! + (kdsBias ? kdsBias[block]! : 0);
      out[n] = (cds ? cds[o]! : 1) * shifted + (cdsBias ? cdsBias[o]! : 0);
    }
    return out;
  }

  get isDisposed(): boolean {
    return this.parts === null;
  }

  /** Called once when the filter is disposed; for backends that hold a packing of it. */
  onDispose(callback: () => void): void {
    if (this.isDisposed) callback();
    else this.disposalCallbacks.add(callback);
  }

  /** Frees the filter and every backend's packing of it. Using it afterwards is a DisposedError. */
  dispose(): void {
    if (this.isDisposed) return;
    this.parts = null;
    for (const callback of this.disposalCallbacks) callback();
    this.disposalCallbacks.clear();
  }

  private live(): NonNullable<DSConvFilter['parts']> {
    if (this.parts === null) {
      throw new DisposedError(`a ${this.kind} filter of shape [${this.shape}] was used after dispose()`);
    }
    return this.parts;
  }
}

function checkFormat(parts: Omit<DSConvFilterParts, 'vqk'>): void {
  const { kind, shape, bits, blockSize } = parts;
  if (kind !== 'conv2d' && kind !== 'depthwise') {
    throw new InvalidFilterError(`kind is ${String(kind)}; expected 'conv2d' or 'depthwise'`);
  }
  if (shape.length !== 4 || shape.some((d) => !Number.isInteger(d) || d < 1)) {
    throw new InvalidFilterError(`shape is [${shape}]; expected four positive integers`);
  }
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new InvalidFilterError(`bits is ${bits}; expected an integer from 2 to 8`);
  }
  if (!Number.isInteger(blockSize) || blockSize < 1) {
    throw new InvalidFilterError(`blockSize is ${blockSize}; expected a positive integer`);
  }
}

function checkParts(parts: DSConvFilterParts): void {
  checkFormat(parts);
  const { kind, shape, bits, blockSize, vqk } = parts;
  const [kh, kw, inner, outer] = shape;
  const count = kh * kw * inner * outer;
  const expected = packedByteLength(count, bits);
  if (!(vqk instanceof Uint8Array) || vqk.length !== expected) {
    throw new InvalidFilterError(
      `vqk has ${vqk?.length} bytes; expected ${expected} for ${count} weights of ${bits} bits`,
    );
  }
  if (parts.kdsBias && !parts.kds) {
    throw new InvalidFilterError('kdsBias is given without kds; expected both or only kds');
  }
  if (!parts.kds && !parts.cds) {
    throw new InvalidFilterError('neither kds nor cds is given; expected scales per block or per channel');
  }
  if (kind === 'depthwise' && (parts.kds || parts.kdsBias || parts.cdsBias)) {
    throw new InvalidFilterError('a depthwise filter has kds, kdsBias or cdsBias; expected cds alone');
  }
  const outputs = kind === 'depthwise' ? inner * outer : outer;
  const blocks = kh * kw * Math.ceil(inner / blockSize) * outer;
  if (parts.kds) checkScales(parts.kds, blocks, 'kds');
  if (parts.kdsBias) checkScales(parts.kdsBias, blocks, 'kdsBias');
  if (parts.cds) checkScales(parts.cds, outputs, 'cds');
  if (parts.cdsBias) checkScales(parts.cdsBias, outputs, 'cdsBias');
}
