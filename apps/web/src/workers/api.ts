/** What the two workers offer to the page. The runner answers for pictures; the studio quantizes and looks inside. */
import type { LayerSummary } from '@dsconv/converter/in-memory';
import type { Classification, LayerKind } from '@dsconv/models';

/** Where a network comes from. */
export type NetworkRequest =
  /** In the models package. */
  | { kind: 'shipped'; id: string }
  /** Published float weights of the zoo; `base` is a mirror with the same paths. */
  | { kind: 'zoo'; id: string; base: string | null }
  /** A safetensors file of any server that lets pages read it, quantized or float. */
  | { kind: 'url'; url: string };

/** What the float network is. */
export type FloatOrigin =
  /** The float weights that the quantized ones were made from. */
  | 'weights'
  /** Nobody gave them: the quantized weights, written out as floats. */
  | 'dequantized';

export interface NetworkChoice {
  id: string;
  title: string;
  shipped: boolean;
  /** Of the float network, which is downloaded where it is not shipped. */
  floatBytes: number;
}

export interface NetworkInfo {
  name: string;
  dataset: string | null;
  labels: readonly string[];
  channels: number;
  size: number;
  floatOrigin: FloatOrigin;
  /** Bytes that were fetched, and those of the float network in our format. */
  bytesFetched: number;
  floatBytes: number;
  /** The files it came in, where it was quantized; the first is taken unless another is chosen. */
  files: readonly StoredFile[];
}

/** Of most layers: the first convolution and depthwise ones may have other forms. */
export interface Form {
  bits: number;
  blockSize: number;
}

export interface StoredFile extends Form {
  bytes: number;
}

/** How the weights are wanted. */
export type Wish =
  /** As a file came, by its place in {@link NetworkInfo.files}; a network that came as float is rounded as `UNSAID` says. */
  | { kind: 'file'; index: number }
  /** Rounded here from the float weights. */
  | ({ kind: 'round' } & Form);

/** How a float network is quantized when nobody says how. */
export const UNSAID: Form = { bits: 4, blockSize: 64 };

export interface LayerRow
  extends Pick<LayerSummary, 'name' | 'kind' | 'shape' | 'weights' | 'bits' | 'bytes' | 'snrDb'> {
  /** Null for one scale per channel. */
  blockSize: number | null;
}

export interface Quantized {
  form: Form;
  /** Of the file. */
  bytes: number;
  bitsPerWeight: number;
  layers: LayerRow[];
  /** The file itself. */
  file: Uint8Array<ArrayBuffer>;
}

/** A picture for the sample set. */
export interface SamplePicture {
  name: string;
  blob: Blob;
  invert: boolean;
  /** The class that it is known to show, or null. */
  truth: number | null;
}

/** The classes that both networks give for the samples, in their order. */
export interface Evaluation {
  float: number[];
  quantized: number[];
  /** Mean Kullback-Leibler divergence of the answers, nats per picture. */
  divergence: number;
}

/** Values over `rows × columns` cells: output channels downwards, taps and input channels to the right. */
export interface Grid {
  rows: number;
  columns: number;
  /** RGBA. */
  pixels: Uint8ClampedArray<ArrayBuffer>;
  description: string;
  /** What the ends of the colours stand for. */
  low: number;
  high: number;
}

export interface LayerView {
  name: string;
  shape: readonly number[];
  kind: LayerKind;
  snrDb: number | null;
  /** SVG. */
  histogram: string;
  scales: Grid | null;
  errors: Grid;
  /** In the order of `shape`. */
  exact: Float32Array<ArrayBuffer>;
  found: Float32Array<ArrayBuffer>;
}

export interface StudioApi {
  open(input: NetworkRequest): Promise<NetworkInfo>;
  /** The float network's file. */
  floatFile(input: null): Promise<Uint8Array<ArrayBuffer>>;
  /** @throws SupersededError when it is called again before it is done */
  quantize(input: Wish): Promise<Quantized>;
  /** Runs both networks on the samples, on the CPU. */
  evaluate(input: readonly SamplePicture[]): Promise<Evaluation>;
  layer(input: string): Promise<LayerView>;
}

export type Which = 'quantized' | 'float';

export interface BackendChoice {
  name: string;
  title: string;
  runs: Which;
  available: boolean;
  /** Why not, or what should be known about it. */
  reason: string | null;
  /** Of backends that have some. */
  threads: Threads | null;
}

/** Threads that a backend computes with. */
export interface Threads {
  count: number;
  /** Why there are not as many as there should be, or null. */
  reason: string | null;
}

export interface RunRequest {
  which: Which;
  backend: string;
}

export interface Run {
  classes: Classification[];
  /** Tier inside the backend, where it has some. */
  tier: string | null;
  /** Threads at the time of this run, where the backend has some. */
  threads: number | null;
  /** Milliseconds of this run, the picture already prepared. */
  milliseconds: number;
  /** Of the first run with this network on this backend, packing and compiling included. */
  firstMilliseconds: number;
  /** 'compiled', or why it is not. */
  plan: string;
}

export interface Timing {
  /** Median milliseconds. */
  median: number;
  runs: number;
  /** Threads at the end of it, where the backend has some. */
  threads: number | null;
}

export interface RunnerApi {
  /** Those that are shipped or whose weights can be downloaded. */
  networks(input: null): Promise<NetworkChoice[]>;
  backends(input: null): Promise<BackendChoice[]>;
  /** Reads a shipped network, quantized; its float weights when they are first run. */
  openShipped(input: string): Promise<null>;
  setFile(input: { which: Which; file: Uint8Array<ArrayBuffer>; labels: readonly string[] }): Promise<null>;
  /** Decodes a picture, which is then the current one. */
  picture(input: { name: string; blob: Blob; invert: boolean }): Promise<{ width: number; height: number }>;
  run(input: RunRequest): Promise<Run>;
  /** Runs again and again until it is known how long it takes, or another call waits. */
  time(input: RunRequest): Promise<Timing>;
}
