/** ONNX files that cannot be converted: damaged, hostile, or of what is not known. Every error is typed and names file, node and operator. */
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DSConvError, InvalidArgumentError } from '@dsconv/core';
import { FileFormatError } from '@dsconv/models';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertModel, FileAccessError, NodeError } from '../../src/index.js';
import { looksLikeOnnx } from '../../src/onnx/fields.js';
import { checkSum } from '../../src/onnx/fold/limits.js';
import { TRANSLATIONS } from '../../src/onnx/ops/index.js';
import { readOnnx } from '../../src/onnx/read-onnx.js';
import { numbers } from '../support/onnx/against-runtime.js';
import { type Attributes, OnnxModel, rawBytes, tensorProto } from '../support/onnx/model.js';
import { scratchFolder } from '../support/scratch-folder.js';

const scratch = scratchFolder();
const FILE = 'bad.onnx';

const ATTRIBUTES = [
  'axis',
  'axes',
  'kernel_shape',
  'strides',
  'pads',
  'dilations',
  'group',
  'auto_pad',
  'mode',
  'perm',
  'keepdims',
  'blocksize',
  'split',
  'num_groups',
  'size',
  'alpha',
  'to',
  'k',
  'scales',
  'output_shape',
  'ceil_mode',
  'block_size',
  'transA',
];

/** What reading fails with. */
const failure = (bytes: Uint8Array): Promise<Error> =>
  readOnnx(bytes, FILE, {}).then(
    () => expect.unreachable('it was read'),
    (error: Error) => error,
  );

/** A model of one node called `it`, of as many inputs as shapes are given. */
function one(
  op: string,
  attributes: Attributes = {},
  more: (m: OnnxModel) => string[] = () => [],
  shape: (number | string)[] = [1, 4, 6, 6],
) {
  const m = new OnnxModel(17);
  m.input('x', shape);
  m.output(m.node(op, ['x', ...more(m)], attributes, { outputs: ['y'], name: 'it' }));
  return m.bytes();
}

/** Something of everything, for damaging. */
function sound(): Uint8Array {
  const m = new OnnxModel(13);
  m.input('x', ['N', 3, 8, 8]);
  const w = m.constant('w', [4, 3, 3, 3], numbers(108));
  const conv = m.node('Conv', ['x', w, m.constant('b', [4], numbers(4))], { pads: [1, 1, 1, 1], group: 1 });
  const half = m.constant(
    'h',
    [4, 1, 1],
    rawBytes('float16', []).length === 0 ? [0x3c00, 0x4000, 0x3800, 0xbc00] : [],
    'float16',
  );
  const scaled = m.node('Mul', [conv, m.node('Cast', [half], { to: 1 })]);
  m.node('Split', [m.node('Relu', [scaled]), m.numbers([1, 3])], { axis: 1 }, { outputs: ['a', 'c'] });
  const shape = m.node('Shape', ['c']);
  const first = m.node('Unsqueeze', [m.node('Gather', [shape, m.numbers(0)]), m.numbers([0])]);
  const flat = m.node('Reshape', ['c', m.node('Concat', [first, m.numbers([-1])], { axis: 0 })]);
  const pooled = m.node('AveragePool', ['a'], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 });
  const up = m.node('Resize', [pooled, '', m.numbers([1, 1, 2, 2], 'float32')], { mode: 'nearest' });
  m.output(m.node('Softmax', [flat], { axis: 1 }, { outputs: ['y'] }));
  m.output(m.node('LeakyRelu', [up], { alpha: { float: 0.1 } }, { outputs: ['z'] }));
  const value = m.node('ConstantOfShape', [m.numbers([2, 2])], {
    value: { tensor: tensorProto('', 'float32', [1], [2]) },
  });
  m.output(m.node('Transpose', [value], { perm: [1, 0] }, { outputs: ['k'] }));
  return m.bytes();
}

describe('a damaged file', () => {
  it('gives typed errors whatever bytes are changed, cut or put in', async () => {
    const bytes = sound();
    await readOnnx(bytes, FILE, {});
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      kind: fc.constantFrom('set', 'cut', 'insert', 'remove', 'large'),
      value: fc.nat(255),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let list = [...bytes];
        for (const { at, kind, value } of changes) {
          if (kind === 'set') list[at % list.length] = value;
          else if (kind === 'cut') list = list.slice(0, at + 1);
          else if (kind === 'insert') list.splice(at, 0, value);
          else if (kind === 'remove') list.splice(at % list.length, 1 + (value % 8));
          else list.splice(at, 0, 0xff, 0xff, 0xff, 0xff, 0x0f);
          if (list.length === 0) list = [value];
        }
        const error = await readOnnx(Uint8Array.from(list), FILE, {}).then(
          () => null,
          (problem: unknown) => problem,
        );
        if (error === null) return;
        if (!(error instanceof DSConvError)) throw error;
        expect(error.message).toContain(FILE);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 1500) },
    );
  });

  it('gives typed errors whatever operator reads whatever', async () => {
    const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 });
    const attribute = fc.tuple(
      fc.constantFrom(...ATTRIBUTES),
      fc.oneof(
        fc.integer({ min: -3, max: 5 }),
        fc.constantFrom('SAME_UPPER', 'linear', 'CRD', 'odd'),
        fc.array(fc.integer({ min: -2, max: 4 }), { maxLength: 5 }),
        fc.float({ noNaN: false }).map((float) => ({ float })),
      ),
    );
    const input = fc.record({ shape, kind: fc.constantFrom('x', 'y', 'constant', 'integers', 'none') });
    const node = fc.record({
      op: fc.constantFrom(...Object.keys(TRANSLATIONS)),
      inputs: fc.array(input, { maxLength: 5 }),
      attributes: fc.array(attribute, { maxLength: 4 }),
      outputs: fc.integer({ min: 1, max: 3 }),
    });
    const inputShape = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(9, 11, 13, 18, 21),
        inputShape,
        fc.boolean(),
        fc.array(node, { minLength: 1, maxLength: 3 }),
        async (opset, outer, isOpen, nodes) => {
          const m = new OnnxModel(opset);
          m.input('x', isOpen && outer.length > 0 ? ['N', ...outer.slice(1)] : outer);
          m.node(
            'MaxPool',
            ['x'],
            { kernel_shape: [1, 1] },
            { outputs: outer.length === 4 ? ['y'] : ['unused'] },
          );
          if (outer.length !== 4) m.node('Relu', ['x'], {}, { outputs: ['y'] });
          for (const [n, { op, inputs, attributes, outputs }] of nodes.entries()) {
            const names = inputs.map(({ shape: own, kind }, i) => {
              if (kind === 'none') return '';
              if (kind === 'x' || kind === 'y') return n > 0 && kind === 'y' ? `o${n - 1}.0` : kind;
              const type = kind === 'constant' ? 'float32' : 'int64';
              const values = numbers(
                own.reduce((a, b) => a * b, 1),
                3,
                i,
              ).map((v) => (kind === 'constant' ? v : Math.round(v)));
              return m.constant(`c${n}.${i}`, own, values, type);
            });
            const made = Array.from({ length: outputs }, (_, o) => `o${n}.${o}`);
            m.node(op, names, Object.fromEntries(attributes), { outputs: made });
            m.output(made[0]!);
          }
          const error = await readOnnx(m.bytes(), FILE, {}).then(
            () => null,
            (problem: unknown) => problem,
          );
          if (error !== null && !(error instanceof DSConvError)) throw error;
        },
      ),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 1500) },
    );
  });

  it.each<[string, () => Uint8Array, RegExp]>([
    ['nothing', () => new Uint8Array(0), /has 0 graphs; expected an ONNX model with one/],
    ['a length beyond the end', () => sound().subarray(0, 900), /damaged at byte \d+ of its \d+/],
    ['a group', () => Uint8Array.of(0x08, 8, 0x3b, 0x3c), /damaged .*group/],
    [
      'a graph in a number',
      () => Uint8Array.of(0x08, 8, 0x38, 1),
      /field 7 of the model is a number; expected bytes/,
    ],
    ['text that is no UTF-8', () => Uint8Array.of(0x12, 2, 0xc3, 0x28), /no UTF-8/],
  ])('is %s', async (_, bytes, message) => {
    const error = await failure(bytes());
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(FILE);
  });

  it.each<[string, (m: OnnxModel) => void, RegExp]>([
    [
      'too few bytes',
      (m) => m.constant('w', [2, 3], [1, 2, 3]),
      /initializer 'w' has 12 bytes for \[2,3\] of float32; expected 24/,
    ],
    ['too large a shape', (m) => m.constant('w', [2 ** 31, 2 ** 31], []), /initializer 'w' has the shape/],
    ['a negative size', (m) => m.constant('w', [-3], []), /initializer 'w' has the shape \[-3\]/],
    [
      'the same name twice',
      (m) => {
        m.constant('w', [1], [1]);
        m.constant('w', [1], [1]);
      },
      /initializer 'w' is there twice/,
    ],
  ])('has a tensor of %s', async (_, add, message) => {
    const m = new OnnxModel();
    m.input('x', [1]);
    add(m);
    m.output(m.node('Relu', ['x'], {}, { outputs: ['y'] }));
    const error = await failure(m.bytes());
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(message);
  });

  it('has more nodes than memory should be given for', async () => {
    const graph = new Uint8Array(2 * 100_001);
    for (let n = 0; n < graph.length; n += 2) graph[n] = 0x5a;
    const head = [0x3a, 0xc2, 0x9a, 0x0c];
    expect(graph.length).toBe(0x42 + (0x1a << 7) + (0x0c << 14));
    const error = await failure(Buffer.concat([Uint8Array.from(head), graph]));
    expect(error.message).toMatch(/over 100000 entries/);
  });
});

describe('a file that asks for memory', () => {
  const asking = (build: (m: OnnxModel) => void): Promise<Error> => {
    const m = new OnnxModel();
    m.input('x', [1]);
    build(m);
    m.output('y');
    return failure(m.bytes());
  };

  it('for one constant', async () => {
    const value = { value: { tensor: tensorProto('', 'int64', [1], [2]) } };
    const one = await asking((m) =>
      m.node('ConstantOfShape', [m.numbers([2 ** 12, 2 ** 13])], value, { outputs: ['y'], name: 'big' }),
    );
    expect(one.message).toMatch(
      /node 'big' \(ConstantOfShape\) makes a constant of shape \[4096,8192\]; expected at most 16777216 values/,
    );
    const outer = await asking((m) => {
      const side = m.constant('side', [1, 70_000], numbers(70_000));
      m.node('Mul', [side, m.node('Transpose', [side])], {}, { outputs: ['y'], name: 'outer' });
    });
    expect(outer.message).toMatch(/node 'outer' \(Mul\) makes a constant of shape \[70000,70000\]/);
  });

  it('for many constants', () => {
    const node = {
      builder: { folded: 2 ** 29 - 10 },
      fail: (problem: string) => {
        throw new Error(problem);
      },
    };
    const constant = (count: number) =>
      ({ kind: 'float', shape: [count], data: new Float32Array(count) }) as const;
    checkSum(node as never, [constant(4), null, constant(6)]);
    expect(() => checkSum(node as never, [constant(1)])).toThrow(
      /brings the constants to 536870913 values; expected at most 536870912 in all/,
    );
  });
});

describe('a graph that is not converted', () => {
  const scalar = (value: number) => (m: OnnxModel) => [m.numbers(value, 'float32')];

  it.each<[string, Uint8Array, RegExp]>([
    [
      'an unknown operator',
      one('GridSample', {}, (m) => [m.constant('g', [1, 2, 2, 2], numbers(8))]),
      /\(GridSample\) is not known; the nearest operators/,
    ],
    ['control flow', one('If', { then_branch: { graph: new Uint8Array(0) } }), /\(If\) is control flow/],
    ['a loop', one('Loop'), /\(Loop\) is control flow/],
    [
      'cubic resizing',
      one('Resize', { mode: 'cubic' }, (m) => ['', m.numbers([1, 1, 2, 2], 'float32')]),
      /\(Resize\) has mode cubic; expected nearest or linear/,
    ],
    [
      'a crop while resizing',
      one('Resize', { coordinate_transformation_mode: 'tf_crop_and_resize' }, (m) => [
        m.numbers([0, 0, 0, 0, 1, 1, 1, 1], 'float32'),
        m.numbers([1, 1, 2, 2], 'float32'),
      ]),
      /has coordinate_transformation_mode tf_crop_and_resize/,
    ],
    [
      'scales without a size',
      one('Resize', { mode: 'linear' }, (m) => ['', m.numbers([1, 1, 1.9, 2], 'float32')]),
      /expected scales that give whole sizes/,
    ],
    [
      'channels resized',
      one('Resize', {}, (m) => ['', m.numbers([1, 2, 2, 2], 'float32')]),
      /expected height and width only/,
    ],
    [
      'weights of another depth',
      one('Conv', {}, (m) => [m.constant('w', [2, 3, 1, 1], numbers(6))]),
      /has weights of shape \[2,3,1,1\] in 1 groups for 4 channels/,
    ],
    ['a window larger than the picture', one('MaxPool', { kernel_shape: [9, 9] }), /has an output of shape/],
    [
      'a window of border alone',
      one('AveragePool', { kernel_shape: [2, 2], pads: [2, 0, 0, 0] }),
      /has pads \[2,0,0,0\] for a window of \[2,2\]; expected less/,
    ],
    ['no window', one('MaxPool'), /has kernel_shape \[\]; expected 2 integers/],
    [
      'a shape that depends on values',
      one('Reshape', {}, () => ['x']),
      /has its shape 'x' computed; expected a constant/,
    ],
    [
      'a shape of other size',
      one('Reshape', {}, (m) => [m.numbers([5, 5])]),
      /reshapes \[1,4,6,6\] to \[5,5\]; expected as many elements/,
    ],
    [
      'shapes that do not broadcast',
      one('Add', {}, (m) => [m.constant('w', [5], numbers(5))]),
      /expected shapes that broadcast/,
    ],
    ['an axis that is not there', one('Concat', { axis: 7 }), /has the axis 7; expected one of 4 dimensions/],
    ['a missing input', one('Conv'), /has no input 1; expected one/],
    ['an even size of a neighbourhood', one('LRN', { size: 4 }), /has size 4; expected an odd number/],
    [
      'training',
      one('BatchNormalization', { training_mode: 1 }, (m) =>
        ['s', 't', 'u', 'v'].map((name) => m.constant(name, [4], numbers(4))),
      ),
      /is in training/,
    ],
    ['a huge constant', one('Expand', {}, (m) => [m.numbers([1, 4, 6, 2 ** 40])]), /expands|repeats/],
    ['a cast to text', one('Cast', { to: 8 }), /casts to type 8/],
    [
      'an unknown mode of padding',
      one('Pad', { mode: 'odd' }, (m) => [m.numbers([0, 0, 1, 1, 0, 0, 1, 1])]),
      /has mode odd/,
    ],
    [
      'a matrix of another depth',
      one('MatMul', {}, (m) => [m.constant('w', [5, 2], numbers(10))]),
      /expected equal inner sizes/,
    ],
    [
      'a bound that is two',
      one('Clip', {}, (m) => [m.constant('low', [2], numbers(2))]),
      /has its min of shape \[2\]; expected one number/,
    ],
    ['a scale of zero', one('Upsample', {}, scalar(0)), /expected/],
  ])('has %s', async (_, bytes, message) => {
    const error = await failure(bytes);
    expect(error).toBeInstanceOf(NodeError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^bad\.onnx: node 'it' \(/);
  });

  it.each<[string, (m: OnnxModel) => void, RegExp]>([
    [
      'reads itself',
      (m) => m.node('Add', ['x', 'y'], {}, { outputs: ['y'], name: 'a' }),
      /node 'a' \(Add\) waits for itself in a circle/,
    ],
    [
      'reads what nothing makes',
      (m) => m.node('Add', ['x', 'xx'], {}, { outputs: ['y'], name: 'a' }),
      /node 'a' \(Add\) reads 'xx', which nothing makes; the nearest names are 'x'/,
    ],
    [
      'makes what is made',
      (m) => m.node('Relu', ['x'], {}, { outputs: ['x'], name: 'a' }),
      /node 'a' \(Relu\) makes 'x'/,
    ],
    [
      'does not make the output',
      (m) => m.node('Relu', ['x'], {}, { outputs: ['yy'] }),
      /the output 'y' is made by nothing; the nearest names are 'x', 'yy'/,
    ],
  ])('has a node that %s', async (_, add, message) => {
    const m = new OnnxModel();
    m.input('x', [1, 2]);
    add(m);
    m.output('y');
    const error = await failure(m.bytes());
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(message);
  });

  it('is of an opset or a domain that is not known', async () => {
    const m = new OnnxModel(6);
    m.input('x', [1]);
    m.output(m.node('Relu', ['x'], {}, { outputs: ['y'] }));
    expect((await failure(m.bytes())).message).toMatch(
      /is of opset 6; expected an ONNX model of opset 7 to 23/,
    );
    const other = new OnnxModel();
    other.input('x', [1]);
    other.output(other.node('Relu', ['x'], {}, { outputs: ['y'], domain: 'my.own', name: 'mine' }));
    expect((await failure(other.bytes())).message).toMatch(/node 'mine' \(my\.own\.Relu\) is not known/);
  });

  it('has sizes that are open, which inputShapes gives', async () => {
    const open = one('Relu', {}, undefined, ['batch', 3, 'height', '']);
    const error = await failure(open);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toBe(
      "bad.onnx: input 'x' has the open shape [batch,3,height,?]; expected its sizes in inputShapes",
    );
    const { source } = await readOnnx(open, FILE, { inputShapes: { x: [1, 3, 8, 9] } });
    expect(source.signature).toMatchObject({
      outputs: { y: { tensorShape: { dim: [{ size: '-1' }, { size: '3' }, { size: '8' }, { size: '9' }] } } },
    });
    await expect(readOnnx(open, FILE, { inputShapes: { x: [1, 4, 8, 9] } })).rejects.toThrow(
      /is given as \[1,4,8,9\]/,
    );
    await expect(readOnnx(open, FILE, { inputShapes: { z: [1] } })).rejects.toThrow(
      /'z', which is no input of the model; expected x/,
    );
  });

  it('needs the number of pictures, which then is fixed and told', async () => {
    const m = new OnnxModel();
    m.input('x', ['N', 4, 2, 2]);
    m.output(m.node('Reshape', ['x', m.numbers([1, 16])], {}, { outputs: ['y'], name: 'flat' }));
    const { notes, source } = await readOnnx(m.bytes(), FILE, {});
    expect(notes).toEqual(["the open batch became 1, since node 'flat' (Reshape) needs to know it"]);
    expect(source.signature).toMatchObject({
      inputs: { x: { tensorShape: { dim: [{ size: '1' }, {}, {}, {}] } } },
    });
  });
});

describe('files', () => {
  let folder: string;
  const external = (place: Record<string, string>): string => {
    const m = new OnnxModel();
    m.input('x', [1, 2]);
    const w = m.constant('w', [2, 3], [], 'float32', place);
    m.output(m.node('MatMul', ['x', w], {}, { outputs: ['y'] }));
    const path = join(folder, 'model.onnx');
    writeFileSync(path, m.bytes());
    return path;
  };
  const convert = (path: string) => convertModel(path, { bits: 8, verify: false });

  beforeAll(() => {
    folder = join(scratch, 'external');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'weights.bin'),
      Buffer.concat([Buffer.alloc(8), rawBytes('float32', [1, 2, 3, 4, 5, 6])]),
    );
  });

  it('of weights beside the model are read', async () => {
    const { report, files } = await convert(external({ location: 'weights.bin', offset: '8', length: '24' }));
    expect(report).toMatchObject({ format: 'onnx', left: [] });
    expect(report.layers).toHaveLength(1);
    expect([...files.keys()].at(-1)).toBe('model.json');
    // The folder is as good as the file in it.
    expect((await convert(folder)).report.bytesBefore).toBe(report.bytesBefore);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'is outside',
      { location: '../weights.bin' },
      /tensor 'w' lies in '\.\.\/weights\.bin', outside the model's folder/,
    ],
    ['is absolute', { location: '/etc/passwd' }, /outside the model's folder/],
    [
      'is too short',
      { location: 'weights.bin', offset: '16' },
      /tensor 'w' needs 40 bytes of 'weights\.bin'; expected at most its 32/,
    ],
    [
      'is of another length',
      { location: 'weights.bin', length: '20' },
      /with 20 bytes; expected 24 bytes for \[2,3\]/,
    ],
    ['is at no number', { location: 'weights.bin', offset: '-8' }, /lies at offset -8/],
    ['is not named', {}, /outside the model's folder/],
  ])('of which one %s', async (_, place, message) => {
    const error = await convert(external(place)).catch((problem: Error) => problem);
    expect(error).toBeInstanceOf(FileFormatError);
    expect((error as Error).message).toMatch(message);
  });

  it('of which one is missing', async () => {
    const error = await convert(external({ location: 'other.bin' })).catch((problem: Error) => problem);
    expect(error).toBeInstanceOf(FileAccessError);
    expect((error as Error).message).toMatch(/other\.bin: cannot read: does not exist/);
  });

  it('are told by their contents, not by their names', async () => {
    const bytes = one('Conv', {}, (m) => [m.constant('w', [8, 4, 1, 1], numbers(32))]);
    const path = join(scratch, 'network.bin');
    writeFileSync(path, bytes);
    expect((await convert(path)).report.format).toBe('onnx');
    truncateSync(path, 60);
    await expect(convert(path)).rejects.toThrow(/network\.bin: .*damaged/);
    writeFileSync(path, 'neither');
    await expect(convert(path)).rejects.toThrow(/is not JSON/);
    const json = join(scratch, 'model.onnx');
    writeFileSync(json, '{"modelTopology": {"node": []}, "format": "graph-model"}');
    await expect(convert(json)).rejects.toThrow(/weightsManifest/);
    writeFileSync(json, 'nor this');
    await expect(convert(json)).rejects.toThrow(/expected an ONNX model/);
    expect(looksLikeOnnx(new TextEncoder().encode('{"a": 1}'))).toBe(false);
    expect(looksLikeOnnx(bytes)).toBe(true);
    // A safetensors file whose header has 0x308 bytes begins like a model of version 3.
    expect(looksLikeOnnx(Uint8Array.of(8, 3, 0, 0, 0, 0, 0, 0, 0x7b))).toBe(false);
    expect(readdirSync(scratch).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('keep nodes by name, and say which names there are', async () => {
    const m = new OnnxModel();
    m.input('x:0', [1, 3, 4, 4]);
    const conv = m.node('Conv', ['x:0', m.constant('w', [8, 3, 1, 1], numbers(24))], {}, { name: 'inner' });
    m.output(m.node('Sigmoid', [conv], {}, { outputs: ['y'] }));
    const path = join(scratch, 'keep.onnx');
    writeFileSync(path, m.bytes());
    const { files } = await convertModel(path, { bits: 8, keep: ['inner'], verify: false });
    const json = JSON.parse(new TextDecoder().decode(files.get('model.json')));
    expect(json.signature.inputs).toEqual({ 'x:0': expect.objectContaining({ name: 'x_0:0' }) });
    await expect(convertModel(path, { bits: 8, keep: ['iner'], verify: false })).rejects.toThrow(
      /the node 'iner' to keep is not there; the nearest names are 'inner'/,
    );
  });
});
