import { InvalidArgumentError } from '@dsconv/core';
import type { Architecture, ArchitectureConfig } from '../architecture.js';
import { UnknownModelError } from '../errors.js';
import { suggest } from '../suggest.js';
import { alexNet } from './alexnet.js';
import { CIFAR_RESNET_DEPTHS, cifarResNet } from './cifar-resnet.js';
import { denseNet } from './densenet.js';
import { googLeNet } from './googlenet.js';
import { mobileNetV1 } from './mobilenet-v1.js';
import { mobileNetV2 } from './mobilenet-v2.js';
import { RESNET_DEPTHS, resNet } from './resnet.js';
import { squeezeNet } from './squeezenet.js';
import { VGG_DEPTHS, vgg } from './vgg.js';

type Build = (config: ArchitectureConfig) => Architecture;

/** Every architecture that has a name of its own. */
const BY_NAME: ReadonlyMap<string, Build> = new Map<string, Build>([
  ...CIFAR_RESNET_DEPTHS.map(
    (depth) => [`resnet${depth}`, (config) => cifarResNet(depth, config)] as [string, Build],
  ),
  ...RESNET_DEPTHS.map((depth) => [`resnet${depth}`, (config) => resNet(depth, config)] as [string, Build]),
  ['alexnet', alexNet],
  ...VGG_DEPTHS.flatMap((depth): [string, Build][] => [
    [`vgg${depth}`, (config) => vgg(depth, false, config)],
    [`vgg${depth}_bn`, (config) => vgg(depth, true, config)],
  ]),
  ['googlenet', googLeNet],
  ['densenet121', denseNet],
  ['squeezenet1_1', squeezeNet],
]);

/** Names `createArchitecture` knows; of MobileNet any other width, such as 'mobilenet_v1_0.35', is allowed too. */
export const ARCHITECTURE_NAMES: readonly string[] = [
  ...BY_NAME.keys(),
  ...['0.25', '0.5', '0.75', '1.0'].map((width) => `mobilenet_v1_${width}`),
  'mobilenet_v2_1.0',
];

const MOBILENET = /^mobilenet_v([12])_(\d(?:\.\d{1,4})?)$/;

/** Largest sizes a configuration may ask for; a file must not make a reader allocate more. */
const LIMITS = { inputSize: 16384, channels: 4096, classes: 1_000_000 } as const;

/**
 * Builds an architecture from its name and sizes; sizes left out are those of the published network.
 *
 * @throws UnknownModelError when no architecture has that name
 * @throws InvalidArgumentError when a size is out of range
 */
export function createArchitecture(config: ArchitectureConfig | string): Architecture {
  const full: ArchitectureConfig = typeof config === 'string' ? { name: config } : config;
  for (const key of ['inputSize', 'channels', 'classes'] as const) {
    const value = full[key];
    if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > LIMITS[key])) {
      throw new InvalidArgumentError(
        `architecture.${key} is ${value}; expected an integer from 1 to ${LIMITS[key]}`,
      );
    }
  }
  const { name } = full;
  const build = BY_NAME.get(name);
  if (build) return build(full);
  const [, version, width] = MOBILENET.exec(name) ?? [];
  if (Number(width) > 0) return (version === '1' ? mobileNetV1 : mobileNetV2)(Number(width), full);
  throw new UnknownModelError(
    `architecture '${name}' is not known; expected ${suggest(name, ARCHITECTURE_NAMES)}`,
  );
}
