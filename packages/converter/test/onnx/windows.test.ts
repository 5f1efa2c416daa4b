/** Convolutions and poolings of any geometry against ONNX Runtime. */
import { setBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { expectAsRuntime, feed, numbers, size } from '../support/onnx/against-runtime.js';
import { type Attributes, OnnxModel } from '../support/onnx/model.js';

beforeAll(async () => {
  await setBackend('cpu');
});

const pair = (min: number, max: number) => fc.array(fc.integer({ min, max }), { minLength: 2, maxLength: 2 });

const geometry = fc.record({
  sizes: pair(1, 9),
  kernel: pair(1, 4),
  strides: pair(1, 3),
  dilations: pair(1, 2),
  begin: pair(0, 3),
  end: pair(0, 3),
  automatic: fc.constantFrom('NOTSET', 'NOTSET', 'NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'),
  flag: fc.boolean(),
  counts: fc.boolean(),
  groups: fc.constantFrom([1, 3, 2], [2, 2, 3], [3, 1, 1], [4, 1, 2]),
});

type Geometry = typeof geometry extends fc.Arbitrary<infer T> ? T : never;

/** Attributes that all windows have, or null where no window fits. */
function attributesOf({
  sizes,
  kernel,
  strides,
  dilations,
  begin,
  end,
  automatic,
}: Geometry): Attributes | null {
  const pads = automatic === 'NOTSET' ? [...begin, ...end] : [0, 0, 0, 0];
  const fits = sizes.every((n, axis) => {
    return n + pads[axis]! + pads[axis + 2]! >= (kernel[axis]! - 1) * dilations[axis]! + 1;
  });
  if (!fits && !automatic.startsWith('SAME')) return null;
  return { strides, dilations, ...(automatic === 'NOTSET' ? { pads } : { auto_pad: automatic }) };
}

async function compare(
  op: string,
  shape: number[],
  attributes: Attributes,
  weights: number[] | null,
): Promise<void> {
  const m = new OnnxModel(19, 9);
  m.input('x', shape);
  const more = weights ? [m.constant('w', weights, numbers(size(weights), 0.5, 1))] : [];
  m.output(m.node(op, ['x', ...more], attributes, { outputs: ['y'] }));
  await expectAsRuntime(m.bytes(), { x: feed(shape) }, { tolerance: 1e-5 });
}

it('Conv, in groups and depthwise too', async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(geometry, async (given) => {
      const attributes = attributesOf(given);
      // ONNX Runtime has no dilations where it chooses the border itself.
      fc.pre(attributes !== null && (given.automatic === 'NOTSET' || given.dilations.every((n) => n === 1)));
      const [group, depth, outputs] = given.groups as [number, number, number];
      const shape = [2, group * depth, ...given.sizes];
      await compare('Conv', shape, { ...attributes, group }, [group * outputs, depth, ...given.kernel]);
      compared++;
    }),
    { numRuns: 80 },
  );
  expect(compared).toBeGreaterThanOrEqual(80);
});

it.each(['MaxPool', 'AveragePool'])('%s, rounded up and counting its border too', async (op) => {
  await fc.assert(
    fc.asyncProperty(geometry, async (given) => {
      const { kernel, begin, end, flag, counts } = given;
      const attributes = attributesOf({ ...given, dilations: [1, 1] });
      const isFilled = kernel.every((n, axis) => begin[axis]! < n && end[axis]! < n);
      // ONNX Runtime crops where it chooses a border and steps are longer than windows, or fails; nobody exports that.
      const isReached = kernel.every((n, axis) => given.strides[axis]! <= n);
      fc.pre(attributes !== null && (given.automatic === 'NOTSET' ? isFilled : isReached));
      const { dilations: _, ...rest } = attributes!;
      const own = { kernel_shape: kernel, ceil_mode: flag && given.automatic === 'NOTSET' ? 1 : 0 };
      const count: Attributes = op === 'AveragePool' ? { count_include_pad: counts ? 1 : 0 } : {};
      await compare(op, [1, 3, ...given.sizes], { ...rest, ...own, ...count }, null);
    }),
    { numRuns: 60 },
  );
});
