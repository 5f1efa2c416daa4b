/** What is compared: names as in the results, what each engine reads, and where it can run. */
import { BITS } from './networks.mjs';

/**
 * @typedef {object} EngineDescription
 * @property {string} module file and name of the function that prepares it (worker.mjs)
 * @property {string} prepare
 * @property {number} bits of the weights
 * @property {'float' | 'quantized'} file which network it reads
 * @property {Record<string, string>} [variants] forms of the same network with their titles; the fastest counts
 * @property {string} [oneThread] why it has no more than one thread
 * @property {string} [peer] what has to be installed first
 * @property {Record<string, string>} [env] of its process
 * @property {boolean} [special] compared in a section of its own, not with all others
 */

/** @type {Record<string, EngineDescription>} */
export const ENGINES = {
  'dsconv-native-plan': dsconv('nativePlan'),
  'dsconv-native-eager': dsconv('nativeEager'),
  'dsconv-wasm': dsconv('wasmPlan'),
  'dsconv-wasm-eager': { ...dsconv('wasmEager'), special: true },
  'dsconv-native-avx2': { ...dsconv('nativePlan'), env: { DSCONV_CPU_ISA: 'avx2' }, special: true },
  'dsconv-native-avxvnni': { ...dsconv('nativePlan'), env: { DSCONV_CPU_ISA: 'avxvnni' }, special: true },
  'ort-int8': {
    module: 'ort.mjs',
    prepare: 'ortInt8',
    bits: 8,
    file: 'float',
    peer: 'onnxruntime-node',
    variants: { qlinear: 'QLinear graph', qdq: 'QDQ graph' },
  },
  'ort-float32': {
    module: 'ort.mjs',
    prepare: 'ortFloat32',
    bits: 32,
    file: 'float',
    peer: 'onnxruntime-node',
  },
  // Says itself whether it has threads: a browser's build has.
  'tfjs-wasm': { module: 'tfjs.mjs', prepare: 'tfjsWasm', bits: 32, file: 'float' },
  'tfjs-cpu': {
    module: 'tfjs.mjs',
    prepare: 'tfjsCpu',
    bits: 32,
    file: 'float',
    oneThread: 'tfjs-backend-cpu is plain JavaScript on one thread',
  },
};

function dsconv(prepare) {
  return { module: 'dsconv.mjs', prepare, bits: BITS, file: 'quantized' };
}

/**
 * One column of a comparison: an engine with its weights, and the form of them where it has several.
 *
 * @typedef {{ engine: string, bits: number, blockSize: number | null, variant: string | null }} Slot
 */

/** @param {Record<string, { bits: number, file: string }>} known the engines by name @returns {Slot[]} */
export function slotsOf(engines, blockSizes, known = ENGINES) {
  return engines.flatMap((engine) => {
    const { bits, file, variants } = known[engine];
    const slots = (file === 'quantized' ? blockSizes : [null]).map((blockSize) => ({
      engine,
      bits,
      blockSize,
    }));
    const forms = variants ? Object.keys(variants) : [null];
    return slots.flatMap((slot) => forms.map((variant) => ({ ...slot, variant })));
  });
}

/**
 * Leaves one entry per engine and weights, that of the fastest form, which says what the others took.
 *
 * @param {object[]} measured one entry per slot
 */
export function fastestVariants(measured) {
  return measured.flatMap((entry) => {
    const { variant, ...rest } = entry;
    if (variant === null) return [rest];
    const forms = measured
      .filter(({ engine, blockSize }) => engine === entry.engine && blockSize === entry.blockSize)
      .toSorted((a, b) => (a.medianMs ?? Infinity) - (b.medianMs ?? Infinity));
    if (forms[0] !== entry) return [];
    const { variants } = ENGINES[entry.engine];
    const told = forms.map((form) => `${variants[form.variant]} ${form.medianMs?.toFixed(2) ?? 'failed'} ms`);
    return [entry.medianMs === null ? rest : { ...rest, note: `${told.join(', ')}; the faster counts` }];
  });
}
