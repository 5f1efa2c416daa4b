/** A filter taken apart without core's help: integers from single bits, scales from raw halves. */
import type { DSConvFilter, ShifterName } from '@dsconv/core';
import type { Switch } from './mutations.js';

/** The numbers of a filter by position; absent shifters are filled in. */
export interface DirectFilter {
  /** The integer at `[tap, i, o]`; depthwise: `i` is 0. */
  q(tap: number, i: number, o: number): number;
  /** Shifters at `[tap, block, o]`. */
  kds(tap: number, block: number, o: number): number;
  kdsBias(tap: number, block: number, o: number): number;
  cds(o: number): number;
  cdsBias(o: number): number;
}

const cacheByShape = new Map<string, Int32Array>();

export function takeApart(filter: DSConvFilter, on: Switch): DirectFilter {
  const isDepthwise = filter.kind === 'depthwise';
  const depth = isDepthwise ? 1 : filter.shape[2];
  const { blocks, outChannels } = filter;
  let q = readIntegers(filter, on);
  if (on('staleCache')) {
    const key = `${filter.kind} ${filter.shape} ${filter.bits}`;
    q = cacheByShape.get(key) ?? q;
    cacheByShape.set(key, q);
  }
  const shifters = Object.fromEntries(
    (['kds', 'kdsBias', 'cds', 'cdsBias'] as const).map((name) => [name, readScales(filter, name, on)]),
  ) as Record<ShifterName, Float64Array | undefined>;
  const at = (tap: number, block: number, o: number): number =>
    on('kdsTransposed') ? (tap * outChannels + o) * blocks + block : (tap * blocks + block) * outChannels + o;
  const channel = (o: number): number => {
    if (!isDepthwise || !on('cdsTransposed')) return o;
    const multiplier = filter.shape[3];
    return (o % multiplier) * filter.shape[2] + Math.floor(o / multiplier);
  };
  return {
    q: (tap, i, o) => q[(tap * depth + i) * outChannels + o] ?? 0,
    kds: (tap, block, o) => shifters.kds?.[at(tap, block, o)] ?? 1,
    kdsBias: (tap, block, o) => (on('kdsBiasIgnored') ? 0 : (shifters.kdsBias?.[at(tap, block, o)] ?? 0)),
    cds: (o) => (on('cdsIgnored') && shifters.kds ? 1 : (shifters.cds?.[channel(o)] ?? 1)),
    cdsBias: (o) => (on('cdsBiasIgnored') ? 0 : (shifters.cdsBias?.[channel(o)] ?? 0)),
  };
}

function readIntegers(filter: DSConvFilter, on: Switch): Int32Array {
  const bits = filter.bits === 3 && on('threeBitsAsFour') ? 4 : filter.bits;
  const packed = filter.vqk;
  const q = new Int32Array(filter.size);
  for (let n = 0; n < q.length; n++) {
    let value = 0;
    for (let k = 0; k < bits; k++) {
      const at = n * bits + k;
      value |= (((packed[at >> 3] ?? 0) >> (at & 7)) & 1) << k;
    }
    const negative = value >= 2 ** (bits - 1) && !(bits === 2 && on('twoBitsUnsigned'));
    q[n] = negative ? value - 2 ** bits : value;
  }
  if (on('filterWritten')) packed[0] = packed[0]! ^ 1;
  return q;
}

function readScales(filter: DSConvFilter, name: ShifterName, on: Switch): Float64Array | undefined {
  const stored = filter.stored(name);
  if (!stored) return undefined;
  const values =
    stored.format === 'float32'
      ? Float64Array.from(stored.data)
      : Float64Array.from(stored.data, (half) => fromHalf(half, on));
  return on('scalesAsBfloat16') ? values.map(toBfloat16) : values;
}

function fromHalf(half: number, on: Switch): number {
  const sign = half >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(half / 1024) % 32;
  const fraction = half % 1024;
  if (exponent === 0) return on('subnormalScalesFlushed') ? 0 : sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function toBfloat16(value: number): number {
  const words = new Uint32Array(Float32Array.of(value).buffer);
  words[0] = words[0]! & 0xffff0000;
  return new Float32Array(words.buffer)[0]!;
}
