import { InvalidArgumentError } from '@dsconv/core';
import type { Architecture, ArchitectureConfig } from '../architecture.js';
import { UnknownModelError } from '../errors.js';
import { suggest } from '../suggest.js';
import { CIFAR_RESNET_DEPTHS, cifarResNet } from './cifar-resnet.js';
import { mobileNetV1 } from './mobilenet-v1.js';
import { mobileNetV2 } from './mobilenet-v2.js';
import { RESNET_DEPTHS, resNet } from './resnet.js';

/** Names `createArchitecture` knows; of MobileNet any other width, such as 'mobilenet_v1_0.35', is allowed too. */
export const ARCHITECTURE_NAMES: readonly string[] = [
  ...CIFAR_RESNET_DEPTHS.map((depth) => `resnet${depth}`),
  ...RESNET_DEPTHS.map((depth) => `resnet${depth}`),
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
  for (const depth of CIFAR_RESNET_DEPTHS) if (name === `resnet${depth}`) return cifarResNet(depth, full);
  for (const depth of RESNET_DEPTHS) if (name === `resnet${depth}`) return resNet(depth, full);
  const [, version, width] = MOBILENET.exec(name) ?? [];
  if (Number(width) > 0) return (version === '1' ? mobileNetV1 : mobileNetV2)(Number(width), full);
  throw new UnknownModelError(
    `architecture '${name}' is not known; expected ${suggest(name, ARCHITECTURE_NAMES)}`,
  );
}
