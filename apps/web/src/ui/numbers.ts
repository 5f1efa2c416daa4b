/** Size, agreement and speed of the quantized network beside the float one. */
import { bytes, plain } from '@dsconv/converter/report';
import { byId, element } from '../page/dom.js';
import type { Evaluation, NetworkInfo, Quantized, Timing } from '../workers/api.js';
import { milliseconds } from './answers.js';

export interface Facts {
  info: NetworkInfo | null;
  quantized: Omit<Quantized, 'file'> | null;
  evaluation: Evaluation | null;
  /** Whether `evaluation` is of an earlier setting, while the present one is computed. */
  isStale: boolean;
  /** What the samples show, null where nobody knows, in their order. */
  truths: readonly (number | null)[];
  times: { quantized: Timing | null; float: Timing | null };
}

/** What a tile says. */
interface Said {
  value: string;
  note?: string;
  /** How much of the float network's bar is filled. */
  part?: number;
  /** The number itself, for programs. */
  exact?: number;
}

const UNKNOWN: Said = { value: '…' };

export function showNumbers(facts: Facts): void {
  showForms(facts);
  const samples = [
    tile('agreement', 'Same class as float', agreementOf(facts)),
    tile('accuracy', 'Right on the samples', accuracyOf(facts)),
  ];
  if (facts.isStale && facts.evaluation) for (const one of samples) one.setAttribute('aria-busy', 'true');
  byId('tiles').replaceChildren(
    tile('size', 'Bytes to download', sizeOf(facts)),
    tile('bits', 'Bits per weight', bitsOf(facts)),
    ...samples,
    tile('time', 'Time per picture', timeOf(facts)),
  );
}

/** What the two cards of answers are about. */
function showForms({ info, quantized }: Facts): void {
  byId('quantized-form').textContent = quantized
    ? `${quantized.form.bits} bits, blocks of ${quantized.form.blockSize} · ${bytes(quantized.bytes)}`
    : '';
  const origin = info?.floatOrigin === 'dequantized' ? 'stored weights as float32' : 'float32';
  byId('float-form').textContent = info ? `${origin} · ${bytes(info.floatBytes)}` : '';
}

function sizeOf({ info, quantized }: Facts): Said {
  if (!info || !quantized) return UNKNOWN;
  const ratio = info.floatBytes / quantized.bytes;
  const note = `${bytes(info.floatBytes)} as float32: ${ratio.toFixed(1)} times smaller`;
  return { value: bytes(quantized.bytes), note, part: 1 / ratio, exact: quantized.bytes };
}

function bitsOf({ quantized }: Facts): Said {
  if (!quantized) return UNKNOWN;
  const { bitsPerWeight } = quantized;
  const note = 'scales counted; 32 as float';
  return { value: bitsPerWeight.toFixed(2), note, part: bitsPerWeight / 32 };
}

function agreementOf({ evaluation }: Facts): Said {
  if (!evaluation) return UNKNOWN;
  const { float, quantized, divergence } = evaluation;
  const count = quantized.length;
  if (count === 0) return { value: '–', note: 'bring pictures to compare on' };
  const same = quantized.filter((index, n) => index === float[n]).length;
  const note = `answers differ by ${plain(divergence)} nats on average`;
  return { value: `${same} of ${count}`, note, part: same / count };
}

function accuracyOf({ evaluation, truths }: Facts): Said {
  if (!evaluation) return UNKNOWN;
  const known = truths.filter((truth) => truth !== null).length;
  if (known === 0) return { value: '–', note: 'nobody has said what these pictures show' };
  const [ours, theirs] = [evaluation.quantized, evaluation.float].map(
    (found) => found.filter((index, n) => truths[n] === index).length,
  ) as [number, number];
  return { value: `${ours} of ${known}`, note: `float: ${theirs} of ${known}`, part: ours / known };
}

function timeOf({ times: { quantized, float } }: Facts): Said {
  if (!quantized || !float) return UNKNOWN;
  const ratio = float.median / quantized.median;
  const words = ratio >= 1 ? `${ratio.toFixed(1)} times faster` : `${(1 / ratio).toFixed(1)} times slower`;
  const note = `float: ${milliseconds(float.median)}, so ${words}`;
  return { value: milliseconds(quantized.median), note, part: Math.min(1, 1 / ratio) };
}

function tile(id: string, term: string, { value, note = '', part, exact }: Said): HTMLElement {
  const meter =
    part === undefined ? null : element('span', { class: 'meter', style: `--part: ${part.toFixed(4)}` });
  const attributes = { id: `tile-${id}`, 'data-value': exact === undefined ? null : `${exact}` };
  return element(
    'div',
    {},
    element('dt', {}, term),
    element('dd', attributes, value),
    element('dd', { class: 'note' }, note, meter),
  );
}
