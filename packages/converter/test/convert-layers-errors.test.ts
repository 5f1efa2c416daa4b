/** LayersModels that are damaged or cannot be converted: the message names layer, weight and file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import { FileFormatError } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertModel, FileAccessError, LayerError } from '../src/index.js';
import { registerDSConvLayers } from '../src/layers/runtime/index.js';
import { conversionPaths } from './support/conversion-paths.js';
import { everyLayer } from './support/every-layer.js';
import { saveLayers } from './support/layers-files.js';

const paths = conversionPaths();

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
  registerDSConvLayers();
});

describe('a LayersModel that cannot be read', () => {
  type Json = {
    modelTopology: { class_name: string; config: { layers: LayerJson[]; output_layers: unknown } };
    weightsManifest: { weights: { name: string; shape: number[] }[]; paths: string[] }[];
  };
  type LayerJson = {
    name: string;
    class_name: string;
    config: Record<string, unknown>;
    inbound_nodes: unknown;
  };

  /** The error of converting {@link everyLayer} with its model.json changed. */
  async function failure(change: (json: Json, find: (name: string) => LayerJson) => void): Promise<Error> {
    const path = await saveLayers(everyLayer(), paths.source);
    const json: Json = JSON.parse(readFileSync(path, 'utf8'));
    change(json, (name) => json.modelTopology.config.layers.find((layer) => layer.name === name)!);
    writeFileSync(path, JSON.stringify(json));
    return convertModel(paths.source, { bits: 8 }).then(
      () => expect.unreachable(),
      (error: Error) => error,
    );
  }
  const weight = (json: Json, name: string) =>
    json.weightsManifest[0]!.weights.find((each) => each.name === name)!;

  it.each<[string, Parameters<typeof failure>[0], RegExp, abstract new (...args: never[]) => Error]>([
    [
      'a circle of layers',
      (_, find) => {
        find('stem_bn').inbound_nodes = [[['classes', 0, 0, {}]]];
      },
      /layer '\w+' \(\w+\) waits for itself in a circle of layers/,
      LayerError,
    ],
    [
      'an input that is not there',
      (_, find) => {
        find('dw').inbound_nodes = [[['stem_relu7', 0, 0, {}]]];
      },
      /layer 'dw' \(DepthwiseConv2D\) reads 'stem_relu7', which no layer is called; the nearest names are 'stem_relu6'/,
      LayerError,
    ],
    [
      'two layers of one name',
      (json) => {
        json.modelTopology.config.layers.push(json.modelTopology.config.layers[3]!);
      },
      /layer 'stem_bn' \(BatchNormalization\) has the name of another layer/,
      LayerError,
    ],
    [
      'a weight of another name',
      (json) => {
        weight(json, 'wide/kernel').name = 'wide/kernal';
      },
      /layer 'wide' \(Conv2D\) has no weight 'wide\/kernel' in weightsManifest; the nearest names are 'wide\/kernal'/,
      LayerError,
    ],
    [
      'a weight of a layer that is kept under another name',
      (json) => {
        json.modelTopology.config.layers.find(({ name }) => name === 'hidden_swish')!.class_name = 'ELU';
        weight(json, 'hidden_bn/beta').name = 'hidden_bn/alpha';
      },
      /layer 'hidden_bn' \(BatchNormalization\) has no weight 'hidden_bn\/beta'/,
      LayerError,
    ],
    [
      'a kernel of three dimensions',
      (json) => {
        weight(json, 'stem/kernel').shape = [9, 3, 16];
      },
      /layer 'stem' \(Conv2D\) has a kernel of shape \[9,3,16\]; expected four dimensions for kernel_size \[3,3\]/,
      LayerError,
    ],
    [
      'weights of the wrong length',
      (json) => {
        weight(json, 'stem/kernel').shape = [3, 3, 3, 15];
      },
      /hold \d+ bytes; expected \d+ for the weights of their group/,
      FileFormatError,
    ],
    [
      'a shard that is missing',
      (json) => {
        json.weightsManifest[0]!.paths = ['weight.bin'];
      },
      /weight\.bin: cannot read: does not exist/,
      FileAccessError,
    ],
    [
      'strides of nothing',
      (_, find) => {
        find('stem').config.strides = [0, 2];
      },
      /layer 'stem' \(Conv2D\) has strides \[0,2\]; expected one or two positive integers/,
      LayerError,
    ],
    [
      'an output that is not there',
      (json) => {
        json.modelTopology.config.output_layers = [['classses', 0, 0]];
      },
      /the model's output_layers has \["classses",0,0\], which is no layer; the nearest names are 'classes'/,
      FileFormatError,
    ],
    [
      'a topology that is none',
      (json) => {
        json.modelTopology.class_name = 'Graph';
      },
      /the topology's class_name is "Graph"; expected one of Model, Functional, Sequential/,
      FileFormatError,
    ],
    [
      'layers that TensorFlow.js refuses',
      (_, find) => {
        find('drop').config.noise_shape = 'x';
        find('pool').class_name = 'Dense';
      },
      /layer 'pool' \(Dense\) has no weight 'pool\/kernel'|is refused by TensorFlow\.js/,
      FileFormatError,
    ],
  ])('has %s', async (_, change, message, type) => {
    const error = await failure(change);
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(paths.source);
  });
});
