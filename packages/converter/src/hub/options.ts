import { InvalidArgumentError } from '@dsconv/core';
import { checkTarget } from '../allocation/targets.js';
import { type QuantizeNetworkOptions, wantsCorrection } from '../quantize-network.js';
import type { OnProgress } from './events.js';

/** How the network is quantized: what `quantizeNetwork` takes, with defaults for all of it. */
export type LoadQuantization = Omit<QuantizeNetworkOptions, 'bits' | 'onProgress'> & {
  /** Weight bits, 2 to 8. Default 4. */
  bits?: number;
};

export interface LoadOptions extends LoadQuantization {
  onProgress?: OnProgress;
  /** In Node a folder, by default `DSCONV_CACHE` or the user's cache folder; in a browser the name of a cache, by default 'dsconv'. */
  cacheDir?: string;
  /** Server that speaks the paths of the published one, such as a mirror. Default `https://huggingface.co`, or the model's own. */
  baseUrl?: string;
  /** Address of a safetensors file with the network's float weights, instead of the published one. */
  url?: string;
  /** SHA-256 that the downloaded file must have, hexadecimal. Default what the zoo or the server states. */
  sha256?: string;
  /** Ask no server; the network must be in the cache. Default false. */
  offline?: boolean;
  /** Milliseconds without a byte after which an attempt is given up. Default 30,000. */
  stallTimeout?: number;
  /** Further attempts after one that failed in passing, each going on where the last one stopped. Default 3. */
  retries?: number;
  /** Milliseconds before the first of them; doubled before each other. Default 500. */
  retryDelay?: number;
  signal?: AbortSignal;
}

const DEFAULTS = { bits: 4, offline: false, stallTimeout: 30_000, retries: 3, retryDelay: 500 } as const;

export type ResolvedOptions = LoadOptions & {
  bits: number;
  offline: boolean;
  stallTimeout: number;
  retries: number;
  retryDelay: number;
};

/** @throws InvalidArgumentError for an option that is out of range; those of quantizing are checked there */
export function resolveOptions(options: LoadOptions): ResolvedOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const resolved: ResolvedOptions = { ...DEFAULTS, ...given };
  const { bits, stallTimeout, retries, retryDelay, sha256 } = resolved;
  const demand = (holds: boolean, name: string, value: unknown, expected: string): void => {
    if (!holds) throw new InvalidArgumentError(`${name} is ${JSON.stringify(value)}; expected ${expected}`);
  };
  demand(Number.isInteger(bits) && bits >= 2 && bits <= 8, 'bits', bits, 'an integer from 2 to 8');
  // More milliseconds than a timer can count would fire at once.
  const isTime = (value: number): boolean => value >= 0 && value <= 2 ** 31 - 1;
  demand(stallTimeout > 0 && isTime(stallTimeout), 'stallTimeout', stallTimeout, 'milliseconds');
  demand(isTime(retryDelay), 'retryDelay', retryDelay, 'milliseconds');
  demand(Number.isInteger(retries) && retries >= 0, 'retries', retries, 'a non-negative integer');
  // Before anything is downloaded.
  const { target } = resolved;
  if (target !== undefined) {
    checkTarget(target);
    demand(
      !('maxDrop' in target),
      'target',
      target,
      'bitsPerWeight, ratio or bytes, because there are no pictures here',
    );
  }
  demand(sha256 === undefined || /^[0-9a-f]{64}$/i.test(sha256), 'sha256', sha256, '64 hexadecimal digits');
  for (const name of ['baseUrl', 'url'] as const) {
    const value = resolved[name];
    demand(
      value === undefined || /^https?:\/\//.test(value),
      name,
      value,
      "an address with 'https:' or 'http:'",
    );
  }
  return resolved;
}

/** Every option that a file depends on, so that one which is added to `quantizeNetwork` is not forgotten here. */
type Quantization = Required<Omit<QuantizeNetworkOptions, 'onProgress' | 'target' | 'curvePoints'>> &
  Pick<QuantizeNetworkOptions, 'target' | 'curvePoints'>;

/** What a quantized file depends on, in a fixed order. */
export function quantizationOf(options: ResolvedOptions): Quantization {
  const { bits, blockSize = 64, firstBits = 8, depthwiseBits = 8, scales = 'float16' } = options;
  const { method = 'search', kdsBias = false, cds = false, activationBits = 8, layers = {} } = options;
  const { target, curvePoints = 0 } = options;
  const quantization = { bits, blockSize, firstBits, depthwiseBits, scales, method, kdsBias, cds };
  // Without a backend that can, another file is made.
  const biasCorrection = wantsCorrection(options);
  const rangeScaling = options.rangeScaling ?? wantsCorrection({});
  return {
    ...quantization,
    activationBits,
    biasCorrection,
    rangeScaling,
    layers,
    ...(target ? { target, curvePoints } : {}),
  };
}
