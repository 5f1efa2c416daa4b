/**
 * The face recognizer of face-api as a GraphModel. The package has its weights, mostly uint8, but no topology, which is written in its source
 * (src/faceRecognitionNet): a residual network after dlib's, every convolution followed by a scale and an offset per channel. Here are the same
 * operations, in words that TensorFlow.js's converter uses, with the weights under the names they have.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FLOAT = { T: { type: 'DT_FLOAT' } };
const text = (value) => ({ s: Buffer.from(value).toString('base64') });
const integers = (...values) => ({ list: { i: values.map(String) } });

/** Pixels that come in: what the mean of the colours is taken off, divided by 255. */
export const FACE_MEAN = [122.782, 117.001, 104.298];
export const FACE_SIZE = 150;

/** Writes model.json and its shards into a folder, and returns the path of model.json. */
export function writeFaceRecognizer(packageFolder, folder) {
  mkdirSync(folder, { recursive: true });
  const name = 'face_recognition_model';
  const manifest = JSON.parse(
    readFileSync(join(packageFolder, 'model', `${name}-weights_manifest.json`), 'utf8'),
  );
  for (const path of manifest.flatMap(({ paths }) => paths)) {
    copyFileSync(join(packageFolder, 'model', path), join(folder, path));
  }
  const graph = new Graph(manifest.flatMap(({ weights }) => weights));
  const output = describe(graph);
  writeFileSync(join(folder, 'constants.bin'), Buffer.from(Int32Array.from(graph.values).buffer));
  const model = {
    format: 'graph-model',
    signature: {
      inputs: { input: { name: 'input:0' } },
      outputs: { descriptor: { name: `${output}:0` } },
    },
    modelTopology: { node: graph.nodes, library: {}, versions: { producer: 987 } },
    weightsManifest: [...manifest, { paths: ['constants.bin'], weights: graph.constants }],
  };
  const path = join(folder, 'model.json');
  writeFileSync(path, JSON.stringify(model));
  return path;
}

function describe(g) {
  g.node('input', 'Placeholder', [], {
    dtype: { type: 'DT_FLOAT' },
    shape: { shape: { dim: [-1, FACE_SIZE, FACE_SIZE, 3].map((size) => ({ size: `${size}` })) } },
  });
  let x = relu(g, layer(g, 'input', 'conv32_down', 2, 'VALID'));
  x = pool(g, x, 'MaxPool', 'pool', 3);
  // Sides: 35, 17, 8, 4 and 2 pixels.
  for (const block of ['conv32_1', 'conv32_2', 'conv32_3']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv64_down', { channels: 32, border: 0 });
  for (const block of ['conv64_1', 'conv64_2', 'conv64_3']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv128_down', { channels: 64, border: 0 });
  for (const block of ['conv128_1', 'conv128_2']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv256_down', { channels: 128, border: 1 });
  for (const block of ['conv256_1', 'conv256_2']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv256_down_out', { channels: 0, border: 1 });
  g.ints('mean/axes', [1, 2], [2]);
  x = g.node('mean', 'Mean', [x, 'mean/axes'], { ...FLOAT, keep_dims: { b: false } });
  return g.node('descriptor', 'MatMul', [x, 'fc'], {
    ...FLOAT,
    transpose_a: { b: false },
    transpose_b: { b: false },
  });
}

/** Convolution, bias, scale and offset. */
function layer(g, x, name, stride, padding) {
  const y = g.node(name, 'Conv2D', [x, `${name}/conv/filters`], {
    ...FLOAT,
    strides: integers(1, stride, stride, 1),
    dilations: integers(1, 1, 1, 1),
    padding: text(padding),
    data_format: text('NHWC'),
  });
  const biased = g.node(`${y}/biased`, 'AddV2', [y, `${name}/conv/bias`]);
  const scaled = g.node(`${y}/scaled`, 'Mul', [biased, `${name}/scale/weights`]);
  return g.node(`${y}/shifted`, 'AddV2', [scaled, `${name}/scale/biases`]);
}

const relu = (g, x) => g.node(`${x}/relu`, 'Relu', [x]);

function residual(g, x, name) {
  const inner = relu(g, layer(g, x, `${name}/conv1`, 1, 'SAME'));
  const outer = layer(g, inner, `${name}/conv2`, 1, 'SAME');
  return relu(g, g.node(`${name}/sum`, 'AddV2', [outer, x]));
}

/** @param channels of zeros behind the shortcut's, @param border of zeros below and right of the convolutions' result */
function residualDown(g, x, name, { channels, border }) {
  const inner = relu(g, layer(g, x, `${name}/conv1`, 2, 'VALID'));
  let outer = layer(g, inner, `${name}/conv2`, 1, 'SAME');
  if (border > 0) outer = pad(g, outer, [0, 0, 0, border, 0, border, 0, 0]);
  let shortcut = pool(g, x, 'AvgPool', `${name}/pool`, 2);
  if (channels > 0) shortcut = pad(g, shortcut, [0, 0, 0, 0, 0, 0, 0, channels]);
  return relu(g, g.node(`${name}/sum`, 'AddV2', [shortcut, outer]));
}

function pool(g, x, op, name, size) {
  return g.node(name, op, [x], {
    ...FLOAT,
    ksize: integers(1, size, size, 1),
    strides: integers(1, 2, 2, 1),
    padding: text('VALID'),
    data_format: text('NHWC'),
  });
}

function pad(g, x, borders) {
  g.ints(`${x}/borders`, borders, [4, 2]);
  return g.node(`${x}/padded`, 'Pad', [x, `${x}/borders`], { ...FLOAT, Tpaddings: { type: 'DT_INT32' } });
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
}
