// The same networks for onnxruntime-node as QLinearConv graphs, built in JavaScript: the peer of bench_plan.mjs. Loaded only where
// onnxruntime-node and onnx-proto can be resolved from the folder given.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export async function loadOrt(folder) {
  const require = createRequire(pathToFileURL(`${folder}/x.js`));
  const ort = require('onnxruntime-node');
  ort.env.logLevel = 'error';
  return { ort, onnx: require('onnx-proto').onnx };
}

const bytes = (a) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const uniform = (n, s) => Float32Array.from({ length: n }, () => (Math.random() * 2 - 1) * s);

class Graph {
  constructor(onnx, batch) {
    Object.assign(this, { onnx, batch, nodes: [], inits: [], id: 0 });
    this.S = this.init([], 1, new Float32Array([0.02]));
    this.Z = this.init([], 2, new Uint8Array([0]));
    this.x = this.node('QuantizeLinear', ['input', this.S, this.Z]);
  }
  init(dims, dataType, array) {
    const name = `i${this.id++}`;
    this.inits.push({ name, dims, dataType, rawData: bytes(array) });
    return name;
  }
  node(opType, input, attribute = [], domain = '') {
    const name = `n${this.id++}`;
    this.nodes.push({ opType, input, output: [name], attribute, domain, name: `op_${name}` });
    return name;
  }
  conv(x, ci, co, k, stride, group = 1) {
    const p = k >> 1;
    const ints = (name, values) => ({ name, type: 7, ints: values });
    const count = (co * ci * k * k) / group;
    const w = this.init(
      [co, ci / group, k, k],
      3,
      Int8Array.from({ length: count }, () => Math.random() * 254 - 127),
    );
    const ws = this.init(
      [co],
      1,
      uniform(co, 1e-3).map((v) => Math.abs(v) + 1e-3),
    );
    const wz = this.init([co], 3, new Int8Array(co));
    const bias = this.init([co], 6, new Int32Array(co));
    return this.node(
      'QLinearConv',
      [x, this.S, this.Z, w, ws, wz, this.S, this.Z, bias],
      [
        ints('kernel_shape', [k, k]),
        ints('strides', [stride, stride]),
        ints('pads', [p, p, p, p]),
        { name: 'group', type: 2, i: group },
      ],
    );
  }
  add(a, b) {
    return this.node(
      'QLinearAdd',
      [a, this.S, this.Z, b, this.S, this.Z, this.S, this.Z],
      [],
      'com.microsoft',
    );
  }
  maxPool(x) {
    return this.node(
      'MaxPool',
      [x],
      [
        { name: 'kernel_shape', type: 7, ints: [3, 3] },
        { name: 'strides', type: 7, ints: [2, 2] },
        { name: 'pads', type: 7, ints: [1, 1, 1, 1] },
      ],
    );
  }
  model(x, channels) {
    let y = this.node('DequantizeLinear', [x, this.S, this.Z]);
    y = this.node('Flatten', [this.node('GlobalAveragePool', [y])]);
    this.node('MatMul', [y, this.init([channels, 1000], 1, uniform(channels * 1000, 0.02))]);
    this.nodes.at(-1).output = ['out'];
    const type = (d) => ({
      tensorType: { shape: { dim: d.map((dimValue) => ({ dimValue })) }, elemType: 1 },
    });
    const model = this.onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: 'g',
        node: this.nodes,
        initializer: this.inits,
        input: [{ name: 'input', type: type([this.batch, 3, 224, 224]) }],
        output: [{ name: 'out', type: type([this.batch, 1000]) }],
      },
    });
    return this.onnx.ModelProto.encode(model).finish();
  }
}

const builders = {
  resnet50(g) {
    let x = g.maxPool(g.conv(g.x, 3, 64, 7, 2));
    let c = 64;
    for (const [w, n, s] of [
      [64, 3, 1],
      [128, 4, 2],
      [256, 6, 2],
      [512, 3, 2],
    ]) {
      for (let i = 0; i < n; i++) {
        const stride = i ? 1 : s;
        const y = g.conv(g.conv(g.conv(x, c, w, 1, 1), w, w, 3, stride), w, w * 4, 1, 1);
        x = g.add(y, i ? x : g.conv(x, c, w * 4, 1, stride));
        c = w * 4;
      }
    }
    return g.model(x, 2048);
  },
  mobilenetV1(g) {
    let x = g.conv(g.x, 3, 32, 3, 2);
    let c = 32;
    for (const [out, stride] of [
      [64, 1],
      [128, 2],
      [128, 1],
      [256, 2],
      [256, 1],
      [512, 2],
      [512, 1],
      [512, 1],
      [512, 1],
      [512, 1],
      [512, 1],
      [1024, 2],
      [1024, 1],
    ]) {
      x = g.conv(g.conv(x, c, c, 3, stride, c), c, out, 1, 1);
      c = out;
    }
    return g.model(x, 1024);
  },
  mobilenetV2(g) {
    let x = g.conv(g.conv(g.conv(g.x, 3, 32, 3, 2), 32, 32, 3, 1, 32), 32, 16, 1, 1);
    let c = 16;
    for (const [t, out, n, s] of [
      [6, 24, 2, 2],
      [6, 32, 3, 2],
      [6, 64, 4, 2],
      [6, 96, 3, 1],
      [6, 160, 3, 2],
      [6, 320, 1, 1],
    ]) {
      for (let i = 0; i < n; i++) {
        const stride = i ? 1 : s;
        const y = g.conv(g.conv(g.conv(x, c, c * t, 1, 1), c * t, c * t, 3, stride, c * t), c * t, out, 1, 1);
        x = stride === 1 && c === out ? g.add(y, x) : y;
        c = out;
      }
    }
    return g.model(g.conv(x, 320, 1280, 1, 1), 1280);
  },
};

export async function ortSession({ ort, onnx }, network, threads, batch) {
  const model = builders[network](new Graph(onnx, batch));
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const x = new ort.Tensor('float32', uniform(batch * 3 * 224 * 224, 1), [batch, 3, 224, 224]);
  return () => session.run({ input: x });
}
