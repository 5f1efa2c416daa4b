/** Writes GraphModels as TensorFlow's converter does, node by node, for tests. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';

type Attributes = Record<string, unknown>;

export const typed = { T: { type: 'DT_FLOAT' } };
export const text = (value: string): unknown => ({ s: Buffer.from(value).toString('base64') });
export const integers = (...values: number[]): unknown => ({ list: { i: values.map(String) } });

/** Attributes of a convolution. */
export function windows(stride: number, padding: 'SAME' | 'VALID'): Attributes {
  return {
    ...typed,
    strides: integers(1, stride, stride, 1),
    dilations: integers(1, 1, 1, 1),
    padding: text(padding),
    data_format: text('NHWC'),
  };
}

interface WeightEntry {
  name: string;
  shape: number[];
  dtype: 'float32' | 'int32';
  quantization?: { dtype: 'uint8'; scale: number; min: number };
}

export class GraphFiles {
  readonly nodes: { name: string; op: string; input: string[]; attr: Attributes }[] = [];
  private readonly entries: WeightEntry[] = [];
  private readonly bytes: Uint8Array[] = [];

  node(name: string, op: string, input: string[], attr: Attributes = typed): string {
    this.nodes.push({ name, op, input, attr });
    return name;
  }

  placeholder(name: string, shape: number[]): string {
    const dim = shape.map((size) => ({ size: String(size) }));
    return this.node(name, 'Placeholder', [], { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim } } });
  }

  floats(name: string, shape: number[], values: Float32Array): string {
    return this.constant({ name, shape, dtype: 'float32' }, values);
  }

  ints(name: string, values: number[], shape = [values.length]): string {
    return this.constant({ name, shape, dtype: 'int32' }, Int32Array.from(values));
  }

  /** Stored as `value = byte · scale + min`. */
  bytesAs(name: string, shape: number[], values: Uint8Array, scale: number, min: number): string {
    return this.constant(
      { name, shape, dtype: 'float32', quantization: { dtype: 'uint8', scale, min } },
      values,
    );
  }

  private constant(entry: WeightEntry, values: Float32Array | Int32Array | Uint8Array): string {
    const type = entry.dtype === 'float32' ? 'DT_FLOAT' : 'DT_INT32';
    const dim = entry.shape.map((size) => ({ size: String(size) }));
    this.entries.push(entry);
    this.bytes.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return this.node(entry.name, 'Const', [], {
      dtype: { type },
      value: { tensor: { dtype: type, tensorShape: { dim } } },
    });
  }

  /** In shards of `shardLength` bytes, so that weights run across their borders. */
  write(folder: string, input: string, output: string, shardLength = 1000): string {
    mkdirSync(folder, { recursive: true });
    const joined = Buffer.concat(this.bytes);
    const count = Math.ceil(joined.length / shardLength);
    const paths = Array.from({ length: count }, (_, n) => `group1-shard${n + 1}of${count}.bin`);
    for (const [n, path] of paths.entries()) {
      writeFileSync(join(folder, path), joined.subarray(n * shardLength, (n + 1) * shardLength));
    }
    const model = {
      format: 'graph-model',
      generatedBy: 'test',
      convertedBy: null,
      signature: {
        inputs: { [input]: { name: `${input}:0` } },
        outputs: { [output]: { name: `${output}:0` } },
      },
      modelTopology: { node: this.nodes, library: {}, versions: { producer: 987 } },
      weightsManifest: [{ paths, weights: this.entries }],
    };
    const path = join(folder, 'model.json');
    writeFileSync(path, JSON.stringify(model));
    return path;
  }
}

/** Loads a GraphModel from disk by TensorFlow.js alone. */
export async function loadFromDisk(path: string): Promise<GraphModel> {
  const { weightsManifest, ...model } = JSON.parse(readFileSync(path, 'utf8'));
  const specs = weightsManifest.flatMap((group: { weights: object[] }) => group.weights);
  const shards = weightsManifest.flatMap((group: { paths: string[] }) =>
    group.paths.map((shard) => readFileSync(join(dirname(path), shard))),
  );
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  return (await loadGraphModel({
    load: async () => ({ ...model, weightSpecs: specs, weightData }),
  })) as GraphModel;
}
