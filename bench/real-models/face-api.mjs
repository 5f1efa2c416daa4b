/**
 * Networks of face-api as GraphModels. The package has their weights, mostly uint8, but no topologies, which are written in its source. Here are the
 * same operations, in words that TensorFlow.js's converter uses, with the weights under the names they have.
 */
import { join } from 'node:path';
import { writeGraphModel } from './graph-builder.mjs';

/** Pixels that come in: what the mean of the colours is taken off, divided by 255. */
export const FACE_PIXELS = {
  range: [0, 255],
  mean: [122.782, 117.001, 104.298],
  std: [255, 255, 255],
};

/** Sides of the pictures. */
export const FACE_SIZES = { recognition: 150, landmark_68: 112, expression: 112 };

/** @param name of {@link FACE_SIZES}; returns the path of model.json */
export function writeFaceNetwork(packageFolder, folder, name) {
  const manifest = join(packageFolder, 'model', `face_${name}_model-weights_manifest.json`);
  const describe = name === 'recognition' ? recognizer : extractor;
  return writeGraphModel(manifest, folder, FACE_SIZES[name], describe);
}

/** src/faceRecognitionNet: a residual network after dlib's, every convolution followed by a scale and an offset per channel. */
function recognizer(g) {
  let x = g.relu(scaled(g, 'input', 'conv32_down', 2, 'VALID'));
  x = g.pool('pool', x, 'MaxPool', 3);
  // Sides: 35, 17, 8, 4 and 2 pixels.
  for (const block of ['conv32_1', 'conv32_2', 'conv32_3']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv64_down', { channels: 32, border: 0 });
  for (const block of ['conv64_1', 'conv64_2', 'conv64_3']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv128_down', { channels: 64, border: 0 });
  for (const block of ['conv128_1', 'conv128_2']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv256_down', { channels: 128, border: 1 });
  for (const block of ['conv256_1', 'conv256_2']) x = residual(g, x, block);
  x = residualDown(g, x, 'conv256_down_out', { channels: 0, border: 1 });
  return g.product('descriptor', g.mean('mean', x), 'fc');
}

/** Convolution, bias, scale and offset. */
function scaled(g, x, name, stride, padding) {
  const y = g.convolution(name, x, `${name}/conv/filters`, stride, padding);
  const biased = g.node(`${y}/biased`, 'AddV2', [y, `${name}/conv/bias`]);
  const multiplied = g.node(`${y}/scaled`, 'Mul', [biased, `${name}/scale/weights`]);
  return g.node(`${y}/shifted`, 'AddV2', [multiplied, `${name}/scale/biases`]);
}

function residual(g, x, name) {
  const inner = g.relu(scaled(g, x, `${name}/conv1`, 1, 'SAME'));
  const outer = scaled(g, inner, `${name}/conv2`, 1, 'SAME');
  return g.relu(g.node(`${name}/sum`, 'AddV2', [outer, x]));
}

/** @param channels of zeros behind the shortcut's, @param border of zeros below and right of the convolutions' result */
function residualDown(g, x, name, { channels, border }) {
  const inner = g.relu(scaled(g, x, `${name}/conv1`, 2, 'VALID'));
  let outer = scaled(g, inner, `${name}/conv2`, 1, 'SAME');
  if (border > 0) outer = g.pad(outer, [0, 0, 0, border, 0, border, 0, 0]);
  let shortcut = g.pool(`${name}/pool`, x, 'AvgPool', 2);
  if (channels > 0) shortcut = g.pad(shortcut, [0, 0, 0, 0, 0, 0, 0, channels]);
  return g.relu(g.node(`${name}/sum`, 'AddV2', [shortcut, outer]));
}

/** src/faceFeatureExtractor and src/faceProcessor: blocks of separable convolutions, whose sums are taken again and again, then a dense layer. */
function extractor(g) {
  let x = 'input';
  for (let n = 0; n < 4; n++) x = denseBlock(g, x, `dense${n}`, n === 0);
  // The pictures are 7 × 7 here.
  return g.node('result', 'AddV2', [g.product('fc', g.mean('pool', x), 'fc/weights'), 'fc/bias']);
}

function denseBlock(g, x, name, isFirst) {
  const first = `${name}/conv0`;
  const entry = isFirst
    ? g.node(`${first}/biased`, 'AddV2', [
        g.convolution(first, x, `${first}/filters`, 2, 'SAME'),
        `${first}/bias`,
      ])
    : separable(g, x, first, 2);
  let sum = entry;
  let from = g.relu(entry);
  for (let n = 1; n < 4; n++) {
    // Of the first part what is positive, of the others all.
    sum = g.node(`${name}/sum${n}`, 'AddV2', [
      n === 1 ? from : sum,
      separable(g, from, `${name}/conv${n}`, 1),
    ]);
    from = g.relu(sum);
  }
  return from;
}

function separable(g, x, name, stride) {
  const depthwise = `${name}/depthwise`;
  g.convolution(depthwise, x, `${name}/depthwise_filter`, stride, 'SAME', 'DepthwiseConv2dNative');
  const y = g.convolution(`${name}/pointwise`, depthwise, `${name}/pointwise_filter`, 1, 'SAME');
  return g.node(`${name}/biased`, 'AddV2', [y, `${name}/bias`]);
}
