/** What a plan brings in the WebAssembly tier. */
import { table } from '../../markdown.mjs';
import { slotsOf } from '../engines.mjs';
import { referenceLogits } from '../logits.mjs';
import { measureCase } from '../measure.mjs';
import { NETWORKS } from '../networks.mjs';

export const TITLE = 'Plans in the WebAssembly tier';

const BLOCK_SIZE = 64;
const ENGINES = ['dsconv-wasm', 'dsconv-wasm-eager'];

export async function measure({ files, options, unavailable }) {
  const cases = [];
  for (const network of ['resnet50', 'mobilenet_v1_1.0', 'mobilenet_v2_1.0']) {
    const paths = await files.make(network, [BLOCK_SIZE]);
    const reference = await referenceLogits(paths.float);
    const slots = slotsOf(ENGINES, [BLOCK_SIZE]);
    const shared = { batch: 1, threads: 1, runs: options.runs, slots, files: paths, unavailable, reference };
    cases.push(...(await measureCase({ network, ...shared })));
  }
  return { cases };
}

export function render({ cases }) {
  const rows = Object.keys(NETWORKS).flatMap((network) => {
    const [plan, eager] = ENGINES.map((engine) =>
      cases.find((c) => c.network === network && c.engine === engine),
    );
    if (!plan?.medianMs || !eager?.medianMs) return [];
    const gain = `${(eager.medianMs / plan.medianMs).toFixed(2)}×`;
    return [[NETWORKS[network].title, eager.medianMs.toFixed(1), plan.medianMs.toFixed(1), gain]];
  });
  return `One picture, 4 bits, B = ${BLOCK_SIZE}, relaxed SIMD, one thread; milliseconds.

${table(['network', 'eager', 'plan', 'gain'], rows)}`;
}
