import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileFormatError, readSafetensors, type SafeTensor, writeSafetensors } from '../src/index.js';

const encode = (header: string, data = new Uint8Array(0), length?: bigint): Uint8Array => {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
};
const entry = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const read = (bytes: Uint8Array) => readSafetensors(bytes, 'x.safetensors');

const tensor: fc.Arbitrary<SafeTensor> = fc
  .record({
    dtype: fc.constantFrom('U8', 'F16', 'F32', 'I64', 'F64', 'I8', 'BOOL', 'BF16'),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    fill: fc.nat(255),
  })
  .map(({ dtype, shape, fill }) => {
    const sizes = { U8: 1, I8: 1, BOOL: 1, F16: 2, BF16: 2, F32: 4, F64: 8, I64: 8 };
    const count = shape.reduce((product, d) => product * d, 1);
    const bytes = new Uint8Array(count * sizes[dtype]).map((_, n) => (fill + 37 * n) % 251);
    const arrays = {
      U8: Uint8Array,
      I8: Int8Array,
      BOOL: Uint8Array,
      F16: Uint16Array,
      BF16: Uint16Array,
      F32: Float32Array,
      F64: Float64Array,
      I64: BigInt64Array,
    };
    return { dtype, shape, data: new arrays[dtype](bytes.buffer) };
  });
const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 0, maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', '', 'a.b'),
);
const tensors = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 });
const metadata = fc.uniqueArray(fc.tuple(name, fc.string({ unit: 'binary' })), {
  selector: ([key]) => key,
  maxLength: 3,
});

const bytesOf = ({ data }: SafeTensor): number[] =>
  Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

describe('safetensors', () => {
  it('reads what it wrote, at any alignment', () => {
    fc.assert(
      fc.property(tensors, metadata, fc.nat(7), (list, pairs, shift) => {
        const written = writeSafetensors(new Map(list), new Map(pairs));
        const moved = new Uint8Array(written.length + shift).subarray(shift);
        moved.set(written);
        const found = read(moved);
        expect(found.metadata).toEqual(new Map(pairs));
        expect([...found.tensors.keys()].sort()).toEqual(list.map(([key]) => key).sort());
        for (const [key, expected] of list) {
          const { dtype, shape } = found.tensors.get(key)!;
          expect({ dtype, shape }).toEqual({ dtype: expected.dtype, shape: expected.shape });
          expect(bytesOf(found.tensors.get(key)!)).toEqual(bytesOf(expected));
        }
      }),
    );
  });

  it('starts the data at a multiple of 8 and puts wide elements first, so that no tensor is copied', () => {
    const list = new Map<string, SafeTensor>([
      ['a', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
      ['b', { dtype: 'F32', shape: [1], data: Float32Array.of(4) }],
    ]);
    const bytes = writeSafetensors(list);
    const found = read(bytes).tensors;
    expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
    for (const { data } of found.values()) expect(data.buffer).toBe(bytes.buffer);
    expect(found.get('b')!.data.byteOffset).toBeLessThan(found.get('a')!.data.byteOffset);
  });

  it('answers corruption with nothing but a FileFormatError', () => {
    const edit = fc.record({ at: fc.nat(400), value: fc.nat(255) });
    fc.assert(
      fc.property(
        tensors,
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.nat(500),
        (list, edits, cut) => {
          const bytes = writeSafetensors(new Map(list), new Map([['k', 'v']])).slice();
          for (const { at, value } of edits) bytes[at % bytes.length] = value;
          attempt(bytes.subarray(0, Math.max(0, bytes.length - (cut < 250 ? 0 : cut - 250))));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('answers any bytes and any header text with nothing but a FileFormatError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), attempt), { numRuns: 500 });
    fc.assert(fc.property(fc.json(), (text) => attempt(encode(text))));
    fc.assert(fc.property(fc.string(), (text) => attempt(encode(`{${text}`))));
  });

  it.each([
    ['no bytes', new Uint8Array(0), /has 0 bytes/],
    ['a header of 2^60 bytes', encode('{}', undefined, 2n ** 60n), /header length is 1152921504606846976/],
    ['a header longer than the file', encode('{}', undefined, 3n), /header length is 3; expected 2 to 2/],
    ['a header that is an array', encode('[]'), /starts with "\["/],
    ['a header that is no JSON', encode('{"a"}'), /expected ':'/],
    ['text after the header', encode('{}}'), /expected the end/],
    ['a header that is not UTF-8', encode('{"a":0}').fill(0xff, 10, 11), /not UTF-8/],
    ['the same name twice', encode(`{"a":${entry('U8', '[0]', '[0,0]')},"a":1}`), /'a' twice/],
    ['an unknown dtype', encode(`{"a":${entry('Q4', '[0]', '[0,0]')}}`), /dtype "Q4"/],
    ['a dtype of Object', encode(`{"a":${entry('toString', '[0]', '[0,0]')}}`), /dtype "toString"/],
    ['a negative size', encode(`{"a":${entry('U8', '[-1]', '[0,0]')}}`), /shape \[-1\]/],
    ['a size that is no integer', encode(`{"a":${entry('U8', '[0.5]', '[0,0]')}}`), /shape \[0.5\]/],
    [
      'a shape of 2^80',
      encode(`{"a":${entry('U8', `[${2 ** 40},${2 ** 40}]`, '[0,0]')}}`),
      /has 0 bytes; expected 1\.2/,
    ],
    ['offsets backwards', encode(`{"a":${entry('U8', '[1]', '[1,0]')}}`), /data_offsets \[1,0\]/],
    [
      'a wrong length',
      encode(`{"a":${entry('F32', '[2]', '[0,4]')}}`, new Uint8Array(4)),
      /expected 8 for F32/,
    ],
    ['a truncated tensor', encode(`{"a":${entry('U8', '[4]', '[0,4]')}}`, new Uint8Array(3)), /truncated/],
    [
      'bytes left over',
      encode(`{"a":${entry('U8', '[2]', '[0,2]')}}`, new Uint8Array(3)),
      /has 3 bytes of tensors; expected 2/,
    ],
    ['a gap', encode(`{"a":${entry('U8', '[1]', '[1,2]')}}`, new Uint8Array(2)), /begins at 1; expected 0/],
    [
      'an overlap',
      encode(`{"a":${entry('U8', '[2]', '[0,2]')},"b":${entry('U8', '[2]', '[1,3]')}}`, new Uint8Array(3)),
      /begins at 1; expected 2/,
    ],
    ['metadata that is no object', encode('{"__metadata__":3}'), /__metadata__ is 3/],
    ['metadata that is no string', encode('{"__metadata__":{"a":1}}'), /__metadata__.a is 1/],
    ['an unknown field', encode('{"a":{"__proto__":1}}'), /field '__proto__'/],
    ['deep nesting', encode(`{"a":${'['.repeat(1e5)}`), /nested deeper/],
    ['a string without an end', encode(`{"${'a'.repeat(1e6)}`), /rest of a string/],
    ['a wrong escape', encode('{"\\x":1}'), /invalid escape/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(FileFormatError);
    expect(() => read(bytes)).toThrow(message);
    expect(() => read(bytes)).toThrow(/^x\.safetensors: /);
  });

  it('keeps its messages on one printable line, whatever a name holds', () => {
    const names = ['a\nb', '\u001b[31mred', '\u2028', 'x'.repeat(1e6)];
    for (const bad of names) {
      const bytes = encode(`{${JSON.stringify(bad)}:1}`);
      expect(() => read(bytes)).toThrow(/^[\x20-\x7e…]{1,1100}$/);
    }
  });

  it('does not let a name reach a prototype', () => {
    const found = read(encode(`{"__proto__":${entry('U8', '[0]', '[0,0]')}}`));
    expect(found.tensors.has('__proto__')).toBe(true);
    expect(({} as { dtype?: string }).dtype).toBeUndefined();
  });
});

function attempt(bytes: Uint8Array): void {
  try {
    let total = 0;
    for (const { data } of read(bytes).tensors.values()) total += data.byteLength;
    expect(total).toBeLessThanOrEqual(bytes.length);
  } catch (error) {
    expect(error).toBeInstanceOf(FileFormatError);
  }
}
