/** Which input of a model takes pictures, and of what size. */
import { InvalidArgumentError } from '@dsconv/core';
import type { PictureInput } from './accuracy.js';
import type { ExampleOptions, ModelInput } from './example-inputs.js';

/**
 * @throws InvalidArgumentError when the model has several inputs, none of four dimensions with one or three channels, or leaves its size open and
 *   none is given
 */
export function pictureInput(
  inputs: readonly ModelInput[],
  { inputShapes }: Pick<ExampleOptions, 'inputShapes'>,
): PictureInput {
  if (inputs.length !== 1) {
    throw new InvalidArgumentError(
      `pictures are given for a model of ${inputs.length} inputs (${inputs.map(({ name }) => name).join(', ')}); expected one`,
    );
  }
  const [{ name, shape: stated, dtype }] = inputs as [ModelInput];
  const shape = inputShapes?.[name] ?? stated;
  const text = `[${shape?.map((d) => d ?? '?') ?? '…'}]`;
  if (shape?.length !== 4 || (dtype !== 'float32' && dtype !== 'int32')) {
    throw new InvalidArgumentError(
      `pictures are given, but input '${name}' is ${dtype} of shape ${text}; expected [batch, height, width, channels]`,
    );
  }
  const [, a, b, c] = shape;
  const isChannels = (d: number | null | undefined): boolean => d === 1 || d === 3;
  const planar = isChannels(a) && !isChannels(c);
  const [height, width, channels] = planar ? [b, c, a] : [a, b, c];
  if (!height || !width || !isChannels(channels)) {
    throw new InvalidArgumentError(
      `pictures are given, but input '${name}' has the shape ${text}; expected sizes, in inputShapes where the model leaves them open, and 1 or 3 channels`,
    );
  }
  const anyBatch = stated?.[0] === null || stated?.[0] === undefined;
  return { name, shape: [height, width, channels as number], planar, dtype, anyBatch };
}
