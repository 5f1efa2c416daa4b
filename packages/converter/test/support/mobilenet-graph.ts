/** The MobileNet v1 of the measuring data as the GraphModel that TensorFlow's converter would make of it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GraphFiles, integers, typed, windows } from './graph-files.js';

interface Weight {
  name: string;
  shape: number[];
}

function readWeights(modelPath: string): Map<string, { shape: number[]; data: Float32Array }> {
  const { weightsManifest } = JSON.parse(readFileSync(modelPath, 'utf8'));
  const weights = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const { paths, weights: specs } of weightsManifest as { paths: string[]; weights: Weight[] }[]) {
    const joined = Buffer.concat(paths.map((path) => readFileSync(join(dirname(modelPath), path))));
    const { buffer } = new Uint8Array(joined);
    let at = 0;
    for (const { name, shape } of specs) {
      const count = shape.reduce((a, b) => a * b, 1);
      weights.set(name, { shape, data: new Float32Array(buffer, at, count) });
      at += 4 * count;
    }
  }
  return weights;
}

/** @param layersModel its model.json */
export function mobileNetGraph(layersModel: string): GraphFiles {
  const weights = readWeights(layersModel);
  const g = new GraphFiles();
  const weight = (name: string): string => {
    const { shape, data } = weights.get(name)!;
    return g.floats(name, shape, data);
  };
  const block = (x: string, layer: string, depthwise: boolean, stride: number): string => {
    const kernel = weight(`${layer}/${depthwise ? 'depthwise_kernel' : 'kernel'}`);
    g.node(layer, depthwise ? 'DepthwiseConv2dNative' : 'Conv2D', [x, kernel], windows(stride, 'SAME'));
    const norm = ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((part) =>
      weight(`${layer}_bn/${part}`),
    );
    g.node(`${layer}_bn`, 'FusedBatchNormV3', [layer, ...norm], { ...typed, epsilon: { f: 0.001 } });
    return g.node(`${layer}_relu`, 'Relu6', [`${layer}_bn`]);
  };
  let x = block(g.placeholder('input', [-1, 224, 224, 3]), 'conv1', false, 2);
  for (let n = 1; n <= 13; n++) {
    x = block(x, `conv_dw_${n}`, true, [2, 4, 6, 12].includes(n) ? 2 : 1);
    x = block(x, `conv_pw_${n}`, false, 1);
  }
  g.ints('axes', [1, 2]);
  x = g.node('pool', 'Mean', [x, 'axes'], { ...typed, keep_dims: { b: true } });
  g.node('preds', 'Conv2D', [x, weight('conv_preds/kernel')], windows(1, 'SAME'));
  g.node('logits', 'BiasAdd', ['preds', weight('conv_preds/bias')]);
  g.node('squeeze', 'Squeeze', ['logits'], { ...typed, squeeze_dims: integers(1, 2) });
  g.node('probabilities', 'Softmax', ['squeeze']);
  return g;
}

/** A LayersModel for `tf.loadLayersModel`. */
export function layersArtifacts(modelPath: string) {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(modelPath, 'utf8'));
  const groups = weightsManifest as { paths: string[]; weights: Weight[] }[];
  const shards = groups.flatMap(({ paths }) =>
    paths.map((path) => readFileSync(join(dirname(modelPath), path))),
  );
  return {
    modelTopology,
    weightSpecs: groups.flatMap(({ weights }) => weights) as never,
    weightData: new Uint8Array(Buffer.concat(shards)).buffer,
  };
}
