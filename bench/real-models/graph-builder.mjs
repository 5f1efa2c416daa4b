/** A GraphModel written down node by node, around weights that lie in a package without a topology. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FLOAT = { T: { type: 'DT_FLOAT' } };
const text = (value) => ({ s: Buffer.from(value).toString('base64') });
const integers = (...values) => ({ list: { i: values.map(String) } });

/**
 * Writes model.json and its shards into a folder, and returns the path of model.json.
 *
 * @param manifestPath a manifest of weights; its shards lie beside it
 * @param size side of the square pictures of 3 channels that the network reads
 * @param describe adds the network's nodes behind `input` and returns the name of the last
 */
export function writeGraphModel(manifestPath, folder, size, describe) {
  mkdirSync(folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
  for (const path of manifest.flatMap(({ paths }) => paths)) {
    copyFileSync(join(manifestPath, '..', path), join(folder, path));
  }
  const graph = new Graph(manifest.flatMap(({ weights }) => weights));
  graph.node('input', 'Placeholder', [], {
    dtype: { type: 'DT_FLOAT' },
    shape: { shape: { dim: [-1, size, size, 3].map((d) => ({ size: `${d}` })) } },
  });
  const output = describe(graph);
  writeFileSync(join(folder, 'constants.bin'), Buffer.from(Int32Array.from(graph.values).buffer));
  const model = {
    format: 'graph-model',
    signature: {
      inputs: { input: { name: 'input:0' } },
      outputs: { [output]: { name: `${output}:0` } },
    },
    modelTopology: { node: graph.nodes, library: {}, versions: { producer: 987 } },
    weightsManifest: [...manifest, { paths: ['constants.bin'], weights: graph.constants }],
  };
  const path = join(folder, 'model.json');
  writeFileSync(path, JSON.stringify(model));
  return path;
}

class Graph {
  nodes = [];
  constants = [];
  values = [];

  constructor(weights) {
    for (const { name, shape } of weights) this.constant(name, 'DT_FLOAT', shape);
  }

  node(name, op, input, attr = FLOAT) {
    this.nodes.push({ name, op, input, attr });
    return name;
  }

  ints(name, values, shape) {
    this.constants.push({ name, shape, dtype: 'int32' });
    this.values.push(...values);
    this.constant(name, 'DT_INT32', shape);
  }

  constant(name, type, shape) {
    const dim = shape.map((size) => ({ size: `${size}` }));
    this.node(name, 'Const', [], {
      dtype: { type },
      value: { tensor: { dtype: type, tensorShape: { dim } } },
    });
  }

  /** @param filter name of its weights */
  convolution(name, x, filter, stride, padding, op = 'Conv2D') {
    return this.node(name, op, [x, filter], {
      ...FLOAT,
      strides: integers(1, stride, stride, 1),
      dilations: integers(1, 1, 1, 1),
      padding: text(padding),
      data_format: text('NHWC'),
    });
  }

  /** Without padding, two pixels at a time. */
  pool(name, x, op, size) {
    return this.node(name, op, [x], {
      ...FLOAT,
      ksize: integers(1, size, size, 1),
      strides: integers(1, 2, 2, 1),
      padding: text('VALID'),
      data_format: text('NHWC'),
    });
  }

  /** @param borders before and after for each dimension */
  pad(x, borders) {
    this.ints(`${x}/borders`, borders, [4, 2]);
    return this.node(`${x}/padded`, 'Pad', [x, `${x}/borders`], {
      ...FLOAT,
      Tpaddings: { type: 'DT_INT32' },
    });
  }

  relu(x) {
    return this.node(`${x}/relu`, 'Relu', [x]);
  }

  /** Mean over height and width. */
  mean(name, x) {
    this.ints(`${name}/axes`, [1, 2], [2]);
    return this.node(name, 'Mean', [x, `${name}/axes`], { ...FLOAT, keep_dims: { b: false } });
  }

  product(name, x, matrix) {
    return this.node(name, 'MatMul', [x, matrix], {
      ...FLOAT,
      transpose_a: { b: false },
      transpose_b: { b: false },
    });
  }
}
