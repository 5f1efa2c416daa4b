/** Runs commands in-process and makes small networks and pictures for them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantizeNetwork } from '@dsconv/converter';
import {
  createArchitecture,
  type LayerWeights,
  Network,
  type Preprocessing,
  randomParameters,
  writeNetwork,
} from '@dsconv/models';
import sharp, { type Sharp } from 'sharp';
import { afterAll } from 'vitest';
import { main } from '../src/index.js';

export interface Run {
  code: number;
  out: string;
  err: string;
  /** The one JSON value on stdout. */
  json<T = Record<string, unknown>>(): T;
}

/** One command line, with streams that are no terminal. */
export async function dsconv(...argv: string[]): Promise<Run> {
  return dsconvWith({}, ...argv);
}

export async function dsconvWith(
  options: { signal?: AbortSignal; isTTY?: boolean; debug?: boolean; onStderr?: () => void },
  ...argv: string[]
): Promise<Run> {
  const { isTTY = false, onStderr, ...rest } = options;
  let out = '';
  let err = '';
  const stdout = { write: (text: string) => void (out += text), isTTY, columns: 100 };
  const writeError = (text: string) => {
    err += text;
    onStderr?.();
  };
  const stderr = { write: writeError, isTTY, columns: 100 };
  const code = await main(argv, { stdout, stderr, ...rest });
  return { code, out, err, json: () => JSON.parse(out) };
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dsconv-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const CLASSES = 5;
export const LABELS = ['tench', 'great white shark', 'cock', 'hen', 'ostrich'];
export const SIZE = 16;

const PREPROCESSING: Preprocessing = {
  size: SIZE,
  channels: 3,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  interpolation: 'bilinear',
  antialias: true,
  range: [-1, 1],
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** A ResNet-20 of random numbers for pictures of 16×16; it has names for 5 classes only. */
export function floatNetwork(
  options: { classes?: number; change?: (weights: Map<string, LayerWeights>) => void } = {},
): Network {
  const { classes = CLASSES, change } = options;
  const architecture = createArchitecture({ name: 'resnet20', inputSize: SIZE, channels: 3, classes });
  const weights = randomParameters(architecture, 7);
  change?.(weights);
  const labels = classes === CLASSES ? LABELS : [];
  return new Network({ architecture, weights, preprocessing: PREPROCESSING, labels });
}

/** Writes a float network in our format. */
export function writeFloat(path: string, network = floatNetwork()): string {
  writeFileSync(path, writeNetwork(network));
  return path;
}

/** Writes the same network quantized to 8 bits. */
export async function writeQuantized(path: string, network = floatNetwork()): Promise<string> {
  const { network: quantized } = await quantizeNetwork(network, { bits: 8, method: 'absmax' });
  writeFileSync(path, writeNetwork(quantized));
  return path;
}

/** A picture with a pattern that is not the same in any direction: red grows to the right, green downwards. */
export function pattern(width = 48, height = 32): Sharp {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      data[at] = Math.round((255 * x) / (width - 1));
      data[at + 1] = Math.round((255 * y) / (height - 1));
      data[at + 2] = 64;
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** A plain picture of one colour. */
export function plain(red: number, green: number, blue: number, side = 20): Sharp {
  return sharp({
    create: { width: side, height: side, channels: 3, background: { r: red, g: green, b: blue } },
  });
}
