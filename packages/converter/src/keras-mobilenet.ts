/** MobileNet v1 out of a Keras topology: finds its width and checks that every layer does what our forward function does. */
import {
  type Architecture,
  type ArchitectureConfig,
  type ConvolutionShape,
  convolutionShapes,
  createArchitecture,
  FileFormatError,
  type LayerSpec,
  type LayerWeights,
} from '@dsconv/models';
import { foldWeights } from './fold-weights.js';
import { isRecord, text } from './json-values.js';
import type { KerasLayer, LayersModelFile } from './layers-model.js';
import { SourceTensors } from './source-tensors.js';

/** Output channels of the first convolution at width 1. */
const STEM_CHANNELS = 32;

/** Those of the last one. */
const LAST_CHANNELS = 1024;

/**
 * @param wanted the architecture when the caller knows it
 * @throws FileFormatError, NotFiniteError
 */
export function readKerasNetwork(
  file: LayersModelFile,
  source: string,
  wanted?: ArchitectureConfig,
): { architecture: Architecture; weights: Map<string, LayerWeights> } {
  const architecture = createArchitecture(
    wanted ? { ...detect(file), ...wanted } : expectDetected(file, source),
  );
  if (architecture.framework !== 'keras') {
    throw new FileFormatError(
      source,
      `is a LayersModel and cannot be read as ${architecture.name}; expected a MobileNet v1`,
    );
  }
  const shapes = new Map(convolutionShapes(architecture).map((shape) => [shape.name, shape]));
  const epsilon = new Map<string, number>();
  for (const layer of architecture.layers) {
    checkLayer(file, layer, shapes.get(layer.name)!, source);
    const value = checkNorm(file, layer, source);
    if (value !== null) epsilon.set(layer.name, value);
    if (layer.kind !== 'dense') checkRelu6(file, layer, source);
  }
  const tensors = new SourceTensors(file.tensors, source);
  const weights = foldWeights(architecture, tensors, source, epsilon);
  tensors.checkAllTaken(architecture.name);
  return { architecture, weights };
}

function expectDetected(file: LayersModelFile, source: string): ArchitectureConfig {
  const config = detect(file);
  if (config) return config;
  throw new FileFormatError(
    source,
    'is a LayersModel of no known architecture; expected a MobileNet v1 with the layers conv1, conv_dw_1, …, conv_preds',
  );
}

function detect({ tensors, layers }: LayersModelFile): ArchitectureConfig | null {
  const stem = tensors.get('conv1/kernel')?.shape;
  const classes = tensors.get('conv_preds/kernel')?.shape[3];
  if (stem?.length !== 4 || !classes || !layers.has('conv_dw_1')) return null;
  const width = widthOf(stem[3]!, tensors.get('conv_pw_13/kernel')?.shape[3] ?? 0);
  const input = [...layers.values()].find(({ className }) => className === 'InputLayer');
  const size = Array.isArray(input?.config.batch_input_shape) ? input.config.batch_input_shape[1] : undefined;
  return {
    name: `mobilenet_v1_${width}`,
    channels: stem[2]!,
    classes,
    ...(typeof size === 'number' ? { inputSize: size } : {}),
  };
}

/**
 * The width with the fewest digits that gives these channels, which are rounded down; as a network's name has it. Another one is checked, and
 * refused, layer by layer.
 */
function widthOf(stem: number, last: number): string {
  for (let digits = 1; digits <= 4; digits++) {
    const width = Math.ceil((last / LAST_CHANNELS) * 10 ** digits) / 10 ** digits;
    const isIt = Math.floor(LAST_CHANNELS * width) === last && Math.floor(STEM_CHANNELS * width) === stem;
    if (isIt) return Number.isInteger(width) ? width.toFixed(1) : `${width}`;
  }
  return `${stem / STEM_CHANNELS}`;
}

function find(file: LayersModelFile, name: string, source: string): KerasLayer {
  const layer = file.layers.get(name);
  if (layer) return layer;
  throw new FileFormatError(source, `the topology has no layer '${name}'; expected one`);
}

function checkLayer(file: LayersModelFile, layer: LayerSpec, shape: ConvolutionShape, source: string): void {
  const { className, config, input } = find(file, layer.name, source);
  const demand = (field: string, found: unknown, expected: unknown): void => {
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    throw new FileFormatError(
      source,
      `layer '${layer.name}' has ${field} ${text(found)}; expected ${JSON.stringify(expected)}`,
    );
  };
  demand('class_name', className, layer.kind === 'depthwise' ? 'DepthwiseConv2D' : 'Conv2D');
  demand('strides', config.strides, [layer.strides, layer.strides]);
  demand('kernel_size', config.kernel_size, [layer.shape[0], layer.shape[1]]);
  demand('dilation_rate', config.dilation_rate ?? [1, 1], [1, 1]);
  demand('activation', config.activation ?? 'linear', 'linear');
  demand('use_bias', config.use_bias, layer.source.bias !== null);
  demand('data_format', config.data_format ?? 'channels_last', 'channels_last');
  if (config.padding === 'same' || layer.shape[0] === 1) return;
  // The other published form: one row and column of zeros below and to the right, then 'valid'. The same thing for even inputs.
  const before = input === null ? undefined : file.layers.get(input);
  const isPadded =
    before?.className === 'ZeroPadding2D' &&
    JSON.stringify(before.config.padding) === '[[0,1],[0,1]]' &&
    layer.strides === 2 &&
    shape.geometry.inHeight % 2 === 0;
  if (!isPadded) demand('padding', config.padding, 'same');
}

/** @returns ε, or null for a layer without batch normalization */
function checkNorm(file: LayersModelFile, layer: LayerSpec, source: string): number | null {
  if (layer.source.norm === null) return null;
  const name = layer.source.norm.gamma.split('/')[0]!;
  const { className, config } = find(file, name, source);
  const { epsilon } = config;
  if (className !== 'BatchNormalization' || typeof epsilon !== 'number' || !(epsilon >= 0)) {
    throw new FileFormatError(
      source,
      `layer '${name}' is ${className} with epsilon ${text(epsilon)}; expected BatchNormalization with a positive epsilon`,
    );
  }
  return epsilon;
}

function checkRelu6(file: LayersModelFile, layer: LayerSpec, source: string): void {
  const name = `${layer.name}_relu`;
  const { className, config } = find(file, name, source);
  const activation = isRecord(config.activation) ? config.activation.class_name : config.activation;
  if (className === 'Activation' && activation === 'relu6') return;
  if (className === 'ReLU' && config.max_value === 6) return;
  throw new FileFormatError(
    source,
    `layer '${name}' is ${className} ${text(activation ?? config.max_value)}; expected relu6`,
  );
}
