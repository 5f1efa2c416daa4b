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

export function showNumbers(facts: Facts): void {
  showForms(facts);
  byId('tiles').replaceChildren(...[...sizeTiles(facts), ...sampleTiles(facts), timeTile(facts)]);
}

/** What the two cards of answers are about. */
function showForms({ info, quantized }: Facts): void {
  byId('quantized-form').textContent = quantized
    ? `${quantized.form.bits} bits, blocks of ${quantized.form.blockSize} · ${bytes(quantized.bytes)}`
    : '';
  const origin = info?.floatOrigin === 'dequantized' ? 'stored weights as float32' : 'float32';
  byId('float-form').textContent = info ? `${origin} · ${bytes(info.floatBytes)}` : '';
}

function sizeTiles({ info, quantized }: Facts): HTMLElement[] {
  if (!info || !quantized)
    return [tile('size', 'Bytes to download', '…', ''), tile('bits', 'Bits per weight', '…', '')];
  const ratio = info.floatBytes / quantized.bytes;
  return [
    tile(
      'size',
      'Bytes to download',
      bytes(quantized.bytes),
      `${bytes(info.floatBytes)} as float32: ${ratio.toFixed(1)} times smaller`,
      {
        value: String(quantized.bytes),
        part: 1 / ratio,
      },
    ),
    tile('bits', 'Bits per weight', quantized.bitsPerWeight.toFixed(2), 'scales counted; 32 as float', {
      part: quantized.bitsPerWeight / 32,
    }),
  ];
}

function sampleTiles({ evaluation, truths, isStale }: Facts): HTMLElement[] {
  if (!evaluation) {
    return [
      tile('agreement', 'Same class as float', '…', ''),
      tile('accuracy', 'Right on the samples', '…', ''),
    ];
  }
  const { float, quantized, divergence } = evaluation;
  const count = quantized.length;
  const same = quantized.filter((index, n) => index === float[n]).length;
  const known = truths.filter((truth) => truth !== null).length;
  const right = (found: readonly number[]): number =>
    found.filter((index, n) => truths[n] !== null && truths[n] === index).length;
  const agreement =
    count === 0
      ? tile('agreement', 'Same class as float', '–', 'bring pictures to compare on')
      : tile(
          'agreement',
          'Same class as float',
          `${same} of ${count}`,
          `answers differ by ${plain(divergence)} nats on average`,
          {
            part: same / count,
          },
        );
  const accuracy =
    known === 0
      ? tile('accuracy', 'Right on the samples', '–', 'nobody has said what these pictures show')
      : tile(
          'accuracy',
          'Right on the samples',
          `${right(quantized)} of ${known}`,
          `float: ${right(float)} of ${known}`,
          {
            part: right(quantized) / known,
          },
        );
  if (isStale) for (const shown of [agreement, accuracy]) shown.setAttribute('aria-busy', 'true');
  return [agreement, accuracy];
}

function timeTile({ times: { quantized, float } }: Facts): HTMLElement {
  if (!quantized || !float) return tile('time', 'Time per picture', '…', '');
  const ratio = float.median / quantized.median;
  const words = ratio >= 1 ? `${ratio.toFixed(1)} times faster` : `${(1 / ratio).toFixed(1)} times slower`;
  return tile(
    'time',
    'Time per picture',
    milliseconds(quantized.median),
    `float: ${milliseconds(float.median)}, so ${words}`,
    {
      part: Math.min(1, 1 / ratio),
    },
  );
}

/** @param more `part`: how much of the float network's bar is filled; `value`: the number itself, for programs */
function tile(
  id: string,
  term: string,
  value: string,
  note: string,
  { part, value: exact }: { part?: number; value?: string } = {},
): HTMLElement {
  const meter =
    part === undefined ? null : element('span', { class: 'meter', style: `--part: ${part.toFixed(4)}` });
  const shown = element('dd', { id: `tile-${id}`, 'data-value': exact ?? null }, value);
  return element('div', {}, element('dt', {}, term), shown, element('dd', { class: 'note' }, note, meter));
}
