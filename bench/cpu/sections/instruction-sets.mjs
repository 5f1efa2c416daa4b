/** The native tier as machines without AVX-512 have it, beside TensorFlow.js' WebAssembly backend. */
import { table } from '../../markdown.mjs';
import { ENGINES, slotsOf } from '../engines.mjs';
import { referenceLogits } from '../logits.mjs';
import { measureCase } from '../measure.mjs';
import { NETWORKS } from '../networks.mjs';

export const TITLE = 'Without AVX-512';

const BLOCK_SIZE = 64;
const COMPARED = ['dsconv-native-avx2', 'dsconv-native-avxvnni', 'tfjs-wasm'];

export async function measure({ files, options, unavailable }) {
  const cases = [];
  for (const network of ['resnet50', 'mobilenet_v1_1.0', 'mobilenet_v2_1.0']) {
    const paths = await files.make(network, [BLOCK_SIZE]);
    const reference = await referenceLogits(paths.float);
    const slots = slotsOf(COMPARED, [BLOCK_SIZE]);
    const shared = { batch: 1, threads: 1, runs: options.runs, slots, files: paths, unavailable, reference };
    cases.push(...(await measureCase({ network, ...shared })));
  }
  return { cases, comparison: 'tfjs-wasm' };
}

export function render({ cases }) {
  const time = (network, engine) =>
    cases.find((c) => c.network === network && c.engine === engine)?.medianMs ?? null;
  const rows = Object.keys(NETWORKS).flatMap((network) => {
    const peer = time(network, 'tfjs-wasm');
    if (peer === null) return [];
    return COMPARED.slice(0, -1).map((engine) => {
      const ours = time(network, engine);
      const found = ours === null ? ['not here', ''] : [ours.toFixed(2), `${(peer / ours).toFixed(2)}×`];
      return [NETWORKS[network].title, ENGINES[engine].env.DSCONV_CPU_ISA, ...found, peer.toFixed(1)];
    });
  });
  return `Plans with 4-bit weights, B = ${BLOCK_SIZE}, one picture, one thread, with \`DSCONV_CPU_ISA\` set; milliseconds. onnxruntime picks its instructions from what the
processor has and documents no way to leave some out (microsoft/onnxruntime issue 7010), so the comparison is tfjs-backend-wasm in float32, whose vectors have 128 bits anywhere.

${table(['network', 'instruction set', 'ours', 'faster than tfjs-wasm', 'tfjs-wasm'], rows)}`;
}
