/**
 * The one-file format of a network: safetensors with
 *
 *   `<layer>.vqk`                U8 `[bytes]`, bit-packed integers
 *   `<layer>.kds`, `.kdsBias`    F16 or F32 `[kh, kw, blocks, O]`
 *   `<layer>.cds`, `.cdsBias`    F16 or F32 `[O]`
 *   `<layer>.weight`             F32, the layer's shape: a float layer, instead of the above
 *   `<layer>.bias`               F32 `[O]`
 *
 * and in the metadata the fields of {@link FIELDS}, each a string (JSON where it is more than a word).
 */
export const FORMAT = 'dsconv-network';
export const FORMAT_VERSION = '1';

/** Keys of the metadata. */
export const FIELDS = {
  format: 'format',
  version: 'format_version',
  /** JSON: name, inputSize, channels, classes. */
  architecture: 'architecture',
  /** JSON: for each layer kind and shape, and for a quantized one bits, blockSize and snrDb. */
  layers: 'layers',
  /** '2' to '8', or 'null' for float activations. */
  activationBits: 'activation_bits',
  /** JSON: {@link Preprocessing}. */
  preprocessing: 'preprocessing',
  /** JSON: array of strings. */
  labels: 'labels',
  source: 'source',
  sourceSha256: 'source_sha256',
} as const;

/** The shifters of a filter in the order of the file, with what their shape is. */
export const SHIFTER_NAMES = ['kds', 'kdsBias', 'cds', 'cdsBias'] as const;
