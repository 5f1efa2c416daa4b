/** What someone has chosen on the page, and its form in the address, so that a link shows what its sender saw. */
import { type Form, type NetworkRequest, type StoredFile, UNSAID, type Wish } from '../workers/api.js';

export const DEFAULT_NETWORK = 'resnet20.fashion_mnist';

/** Steps of the slider. */
export const BLOCK_SIZES = [8, 16, 32, 64, 128, 256] as const;

/** Sizes in which a network may lie in the page. */
const MOST_FILES = 8;

export interface Settings {
  /** Of the zoo, or 'url'. */
  network: string;
  /** Address of a file, with network 'url'. */
  url: string | null;
  /** A mirror of the server that publishes the zoo's networks. */
  base: string | null;
  wish: Wish;
  /** Null: the best. */
  backend: string | null;
  compare: string | null;
  layer: string | null;
  /** File name of a sample. */
  sample: string | null;
  invert: boolean;
}

export const DEFAULTS: Settings = {
  network: DEFAULT_NETWORK,
  url: null,
  base: null,
  wish: { kind: 'file', index: 0 },
  backend: null,
  compare: null,
  layer: null,
  sample: null,
  invert: false,
};

/** Reads the part of an address behind '?'; what makes no sense there is as if it were not. */
export function readSettings(search: string): Settings {
  const found = new URLSearchParams(search);
  const [bits, blockSize] = [Number(found.get('bits')), Number(found.get('block'))];
  const isBits = Number.isInteger(bits) && bits >= 2 && bits <= 8;
  const isBlock = (BLOCK_SIZES as readonly number[]).includes(blockSize);
  const file = Number(found.get('file') ?? 0);
  const isFile = Number.isInteger(file) && file >= 0 && file < MOST_FILES;
  const url = address(found.get('url'));
  const name = found.get('network');
  return {
    network: url !== null ? 'url' : name && name !== 'url' ? name : DEFAULT_NETWORK,
    url,
    base: address(found.get('base')),
    wish: isBits && isBlock ? { kind: 'round', bits, blockSize } : { kind: 'file', index: isFile ? file : 0 },
    backend: found.get('backend'),
    compare: found.get('compare'),
    layer: found.get('layer'),
    sample: found.get('sample'),
    invert: found.get('invert') === '1',
  };
}

function address(value: string | null): string | null {
  return value !== null && /^https?:\/\//.test(value) ? value : null;
}

/** The part of the address behind '?', empty where nothing differs from what the page starts with. */
export function writeSettings(settings: Settings): string {
  const { network, url, wish, invert } = settings;
  const written = new URLSearchParams();
  if (network === 'url' && url !== null) written.set('url', url);
  else if (network !== DEFAULT_NETWORK && network !== 'url') written.set('network', network);
  if (wish.kind === 'round') {
    written.set('bits', `${wish.bits}`);
    written.set('block', `${wish.blockSize}`);
  } else if (wish.index > 0) written.set('file', `${wish.index}`);
  for (const name of ['base', 'backend', 'compare', 'layer', 'sample'] as const) {
    const value = settings[name];
    if (value !== null) written.set(name, value);
  }
  if (invert) written.set('invert', '1');
  const text = written.toString();
  return text === '' ? '' : `?${text}`;
}

/** @param isShipped whether the network is in the models package; null where nothing can be loaded yet */
export function requestOf({ network, url, base }: Settings, isShipped: boolean): NetworkRequest | null {
  if (network === 'url') return url === null ? null : { kind: 'url', url };
  return isShipped ? { kind: 'shipped', id: network } : { kind: 'zoo', id: network, base };
}

/** Bits and block size that a wish comes to. */
export function formOf(wish: Wish, files: readonly StoredFile[]): Form {
  return wish.kind === 'round' ? wish : (files[wish.index] ?? UNSAID);
}
