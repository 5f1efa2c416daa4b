/** GraphModels made in a test, in the JSON form of a TensorFlow GraphDef that `tf.loadGraphModel` reads. */
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import { io, util } from '@tensorflow/tfjs-core';

type Attribute = string | number | boolean | readonly number[] | readonly string[];

export class GraphBuilder {
  private readonly nodes: object[] = [];
  private readonly weights: { name: string; shape: number[]; dtype: 'float32' | 'int32' }[] = [];
  private readonly values: (Float32Array | Int32Array)[] = [];

  input(shape: readonly number[]): string {
    const dim = shape.map((size) => ({ size: `${size}` }));
    const attr = { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim } } };
    this.nodes.push({ name: 'input', op: 'Placeholder', attr });
    return 'input';
  }

  /** A float32 constant of small numbers that depend on the seed. */
  weight(shape: number[], seed: number): string {
    const size = util.sizeFromShape(shape);
    return this.constant(
      shape,
      Float32Array.from({ length: size }, (_, n) => Math.sin(n * 1.7 + seed) * 0.4),
    );
  }

  integers(...values: number[]): string {
    return this.constant([values.length], Int32Array.from(values));
  }

  constant(shape: number[], values: Float32Array | Int32Array): string {
    const name = `weight${this.weights.length}`;
    const dtype = values instanceof Int32Array ? 'int32' : 'float32';
    this.weights.push({ name, shape, dtype });
    this.values.push(values);
    this.nodes.push({ name, op: 'Const', attr: { dtype: { type: TYPE[dtype] } } });
    return name;
  }

  /** Strings are TensorFlow's strings, arrays its lists, whole numbers integers; floats are written as `{ f }` by their name. */
  node(op: string, inputs: string[], attributes: Record<string, Attribute> = {}): string {
    const name = `${op}${this.nodes.length}`;
    const attr = Object.fromEntries(
      Object.entries({ T: 'DT_FLOAT', ...attributes }).map(([key, value]) => [key, encode(key, value)]),
    );
    this.nodes.push({ name, op, input: inputs, attr });
    return name;
  }

  /** The last node is the output. */
  async load(): Promise<GraphModel> {
    const weightData = new Uint8Array(this.values.reduce((bytes, { byteLength }) => bytes + byteLength, 0));
    let offset = 0;
    for (const { buffer, byteLength } of this.values) {
      weightData.set(new Uint8Array(buffer, 0, byteLength), offset);
      offset += byteLength;
    }
    const modelTopology = { node: this.nodes, versions: { producer: 898 } };
    const artifacts = { modelTopology, weightSpecs: this.weights, weightData: weightData.buffer };
    return await loadGraphModel(io.fromMemory(artifacts as io.ModelArtifacts));
  }
}

const TYPE = { float32: 'DT_FLOAT', int32: 'DT_INT32' };
const FLOATS = new Set(['epsilon', 'alpha', 'leakyrelu_alpha']);
const base64 = (text: string) => Buffer.from(text).toString('base64');

function encode(key: string, value: Attribute): object {
  if (typeof value === 'boolean') return { b: value };
  if (typeof value === 'number') return FLOATS.has(key) ? { f: value } : { i: `${value}` };
  if (typeof value === 'string') return value.startsWith('DT_') ? { type: value } : { s: base64(value) };
  const texts = value.filter((item) => typeof item === 'string');
  if (texts.length > 0) return { list: { s: texts.map(base64) } };
  return { list: { i: value.map((item) => `${item}`) } };
}
