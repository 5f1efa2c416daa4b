/** Damaged models of both formats: whatever is changed in model.json or its shards, the converter refuses with an error of its own, or converts. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { DSConvError, selectBackend } from '@dsconv/core';
import { layers, sequential } from '@tensorflow/tfjs-layers';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertModel, writeModelFiles } from '../src/index.js';
import { GraphFiles, typed, windows } from './support/graph-files.js';
import { fillWeights, saveLayers } from './support/layers-files.js';
import { scratchFolder } from './support/scratch-folder.js';

const scratch = scratchFolder();

beforeAll(() => selectBackend([BACKEND_NAME]));

const numbers = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, n) => 0.4 * Math.sin(n * 12.9898 + n * n * 0.0137));

function smallGraph(folder: string): void {
  const g = new GraphFiles();
  g.placeholder('x', [-1, 5, 5, 2]);
  g.ints('borders', [0, 0, 1, 0, 0, 1, 0, 0], [4, 2]);
  g.node('pad', 'Pad', ['x', 'borders'], { ...typed, Tpaddings: { type: 'DT_INT32' } });
  g.floats('conv/w', [3, 3, 2, 4], numbers(72));
  g.node('conv', 'Conv2D', ['pad', 'conv/w'], windows(1, 'VALID'));
  for (const part of ['gamma', 'beta', 'mean', 'variance']) {
    g.floats(
      `bn/${part}`,
      [4],
      numbers(4).map((value) => value + 1),
    );
  }
  g.node('bn', 'FusedBatchNormV3', ['conv', 'bn/gamma', 'bn/beta', 'bn/mean', 'bn/variance'], {
    ...typed,
    epsilon: { f: 0.001 },
  });
  g.node('relu', 'Relu6', ['bn']);
  g.bytesAs('dw/w', [3, 3, 4, 1], new Uint8Array(36).fill(7), 0.01, -0.1);
  g.node('dw', 'DepthwiseConv2dNative', ['relu', 'dw/w'], windows(2, 'SAME'));
  g.ints('axes', [1, 2]);
  g.node('mean', 'Mean', ['dw', 'axes'], { ...typed, keep_dims: { b: false } });
  g.floats('fc/w', [4, 3], numbers(12));
  g.node('fc', 'MatMul', ['mean', 'fc/w']);
  g.floats('fc/b', [3], numbers(3));
  g.node('y', 'AddV2', ['fc', 'fc/b']);
  g.write(folder, 'x', 'y', 150);
}

function smallLayers(folder: string): Promise<string> {
  const model = sequential({
    layers: [
      layers.zeroPadding2d({ inputShape: [5, 5, 2], padding: 1, name: 'pad' }),
      layers.conv2d({ filters: 4, kernelSize: 3, useBias: false, name: 'conv' }),
      layers.batchNormalization({ name: 'bn' }),
      layers.reLU({ maxValue: 6, name: 'relu' }),
      layers.separableConv2d({ filters: 3, kernelSize: 3, activation: 'tanh', name: 'sep' }),
      layers.flatten({ name: 'flat' }),
      layers.dense({ units: 3, name: 'fc' }),
      layers.leakyReLU({ name: 'leaky' }),
    ],
  });
  return saveLayers(fillWeights(model), folder, 'uint8');
}

/** What takes the place of a value. */
const replacement = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'x', 'conv', '../x', 'NaN', [], {}, [[]], -1, 0, 0.5, 3, 255, 1e9),
  fc.integer({ min: -8, max: 1000 }),
  fc.string({ maxLength: 8 }),
);

type Place = { holder: Record<string, unknown> | unknown[]; key: string | number };

/** Every place of a JSON value. */
function places(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const keys: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const holder = value as Place['holder'];
  return keys.flatMap((key) => [{ holder, key }, ...places((holder as never)[key])]);
}

const change = fc.record({
  where: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  how: fc.constantFrom('replace', 'remove', 'repeat', 'swap'),
  other: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  value: replacement,
});

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function apply(json: unknown, { where, how, other, value }: Change): void {
  const all = places(json);
  const pick = (share: number): Place => all[Math.floor(share * all.length)]!;
  const { holder, key } = pick(where) as { holder: never; key: never };
  if (how === 'replace') (holder as Record<string, unknown>)[key] = value;
  else if (how === 'remove') {
    if (Array.isArray(holder)) (holder as unknown[]).splice(key, 1);
    else delete (holder as Record<string, unknown>)[key];
  } else if (how === 'repeat') {
    if (Array.isArray(holder)) (holder as unknown[]).push(structuredClone(holder[key]));
    else (holder as Record<string, unknown>)[`${key}_1`] = structuredClone(holder[key]);
  } else {
    const target = pick(other) as { holder: never; key: never };
    (holder as Record<string, unknown>)[key] = structuredClone(target.holder[target.key]);
  }
}

const shardChange = fc.record({
  shard: fc.nat(),
  how: fc.constantFrom('none', 'none', 'none', 'cut', 'longer', 'flip', 'gone'),
  at: fc.nat(),
  byte: fc.integer({ min: 0, max: 255 }),
});

describe.each([
  ['a GraphModel', smallGraph],
  ['a LayersModel', smallLayers],
])('%s with anything changed', (title, write) => {
  const folder = join(scratch, title.replaceAll(' ', '-'));
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  let whole: string;
  let shards: Map<string, Buffer>;

  beforeAll(async () => {
    await write(source);
    whole = readFileSync(join(source, 'model.json'), 'utf8');
    const names = readdirSync(source).filter((name) => name !== 'model.json');
    shards = new Map(names.map((name) => [name, readFileSync(join(source, name))]));
  });

  /** Converts what lies in the folder and writes it. @returns null, or the error */
  async function outcome(verify: boolean): Promise<unknown> {
    rmSync(target, { recursive: true, force: true });
    try {
      const { files } = await convertModel(source, { bits: 4, blockSize: 16, method: 'absmax', verify });
      await writeModelFiles(target, files);
      return null;
    } catch (error) {
      expect(existsSync(target)).toBe(false);
      return error;
    }
  }

  it('converts as it is', async () => {
    expect(await outcome(true)).toBeNull();
  });

  it.each([
    ['only read', false, 150],
    ['compared too', true, 60],
  ])('is refused with a typed error, or converted; %s', { timeout: 120_000 }, async (_, verify, numRuns) => {
    let [refused, converted] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 3 }),
        shardChange,
        async (changes, damage) => {
          const json = JSON.parse(whole);
          for (const one of changes) apply(json, one);
          rmSync(source, { recursive: true });
          mkdirSync(source);
          writeFileSync(join(source, 'model.json'), JSON.stringify(json));
          for (const [n, [name, bytes]] of [...shards].entries()) {
            const isDamaged = n === damage.shard % shards.size;
            const found = isDamaged ? damaged(bytes, damage) : bytes;
            if (found) writeFileSync(join(source, name), found);
          }
          const error = await outcome(verify);
          if (error === null) converted++;
          else {
            refused++;
            if (!(error instanceof DSConvError)) throw error;
            // TensorFlow.js's own words aside.
            expect(error.message.replace(/(refused by|not run).*/s, '')).not.toMatch(/undefined|\[object/);
          }
        },
      ),
      { numRuns, seed: 7, endOnFailure: true },
    );
    // Both must happen, or the property says little.
    expect(refused).toBeGreaterThan(numRuns / 10);
    expect(converted).toBeGreaterThan(numRuns / 20);
  });
});

function damaged(bytes: Buffer, { how, at, byte }: { how: string; at: number; byte: number }): Buffer | null {
  switch (how) {
    case 'cut':
      return bytes.subarray(0, at % bytes.length);
    case 'longer':
      return Buffer.concat([bytes, Buffer.of(byte)]);
    case 'flip': {
      const copy = Buffer.from(bytes);
      // The lowest byte of a number: a border of millions of pixels is a valid wish that no machine fulfils.
      const place = at % copy.length;
      copy[place - (place % 4)] = byte;
      return copy;
    }
    case 'gone':
      return null;
    default:
      return bytes;
  }
}
