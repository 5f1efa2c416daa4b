/** Inputs of a model for comparing: given ones, or random ones of the shapes that the model states. */
import { InvalidArgumentError } from '@dsconv/core';
import { nearest } from '@dsconv/models';
import { type DataType, type NamedTensorMap, type Tensor, tensor } from '@tensorflow/tfjs-core';
import { seededRandom } from '../random.js';

/** An input as the model states it; null for a dimension that may be any. */
export interface ModelInput {
  name: string;
  /** Null where even the number of dimensions is open. */
  shape: readonly (number | null)[] | null;
  dtype: DataType;
}

/** Values for a model's inputs. */
export interface ExampleOptions {
  /** Shapes by the name of the input, where the model leaves them open. */
  inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** Inputs by name; the others are random. */
  inputs?: Readonly<Record<string, { shape: readonly number[]; data: ArrayLike<number> }>>;
  /** Of the random numbers. Default 1. */
  seed?: number;
}

/** Values that are made up for an input, at most: a damaged model may state any shape. */
const MOST_VALUES = 2 ** 28;

/** A batch of this many is taken where the first dimension is open. */
const BATCH = 1;

/**
 * One tensor for each input: uniform from -1 to 1 (integers: 0 to 9) where none is given.
 *
 * @throws InvalidArgumentError when a shape is open and none is given, or a given one does not fit
 */
export function exampleInputs(inputs: readonly ModelInput[], options: ExampleOptions): NamedTensorMap {
  const names = inputs.map(({ name }) => name);
  for (const [what, given] of Object.entries({ inputs: options.inputs, inputShapes: options.inputShapes })) {
    for (const name of Object.keys(given ?? {})) {
      if (names.includes(name)) continue;
      throw new InvalidArgumentError(
        `${what} has '${name}', which is no input of the model; expected ${nearest(name, names).join(', ') || 'none'}`,
      );
    }
  }
  const random = seededRandom(options.seed ?? 1);
  return Object.fromEntries(inputs.map((input) => [input.name, example(input, options, random)]));
}

function example(input: ModelInput, options: ExampleOptions, random: () => number): Tensor {
  const given = options.inputs?.[input.name];
  const shape = given?.shape ?? options.inputShapes?.[input.name] ?? assumedShape(input);
  const fits =
    input.shape === null ||
    (input.shape.length === shape.length && input.shape.every((d, n) => d === null || d === shape[n]));
  if (!fits || shape.some((d) => !Number.isInteger(d) || d < 1)) {
    throw new InvalidArgumentError(
      `input '${input.name}' is given as [${shape}]; expected [${input.shape?.map((d) => d ?? '?')}]`,
    );
  }
  const count = shape.reduce((product, d) => product * d, 1);
  if (count > MOST_VALUES) {
    throw new InvalidArgumentError(
      `input '${input.name}' has the shape [${shape}] of ${count} values; expected at most ${MOST_VALUES}`,
    );
  }
  if (given && given.data.length !== count) {
    throw new InvalidArgumentError(
      `input '${input.name}' has ${given.data.length} values; expected ${count} for [${shape}]`,
    );
  }
  const isFloat = input.dtype === 'float32';
  const next = (): number => (isFloat ? 2 * random() - 1 : Math.floor(random() * 10));
  const values = given ? Array.from(given.data) : Array.from({ length: count }, next);
  const typed =
    input.dtype === 'bool'
      ? Uint8Array.from(values, (value) => (value ? 1 : 0))
      : isFloat
        ? Float32Array.from(values)
        : Int32Array.from(values);
  return tensor(typed, [...shape], input.dtype);
}

/** The stated shape with a batch of one; anything else that is open must be given. */
function assumedShape({ name, shape }: ModelInput): number[] {
  const assumed = shape?.map((d, n) => d ?? (n === 0 ? BATCH : null));
  if (!assumed || assumed.includes(null)) {
    throw new InvalidArgumentError(
      `input '${name}' has the open shape [${shape?.map((d) => d ?? '?') ?? '…'}]; expected its sizes in inputShapes`,
    );
  }
  return assumed as number[];
}
