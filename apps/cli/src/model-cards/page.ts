/** Model cards as Markdown: docs/models. */
import type { ModelCard } from '@dsconv/models';
import {
  accuracyRow,
  accuracySources,
  millions,
  parametersOf,
  preprocessingOf,
  storedRows,
  topOne,
  weightsOf,
} from './parts.js';

const GENERATED = '<!-- Written by scripts/model-cards.mjs; do not edit. -->';

/** The page of one network. */
export function cardPage(card: ModelCard): string {
  const { id, title, architecture, classes, dataset, golden, sha256, address, source, licence } = card;
  const { name, inputSize, channels } = architecture;
  return `${GENERATED}

# ${id}

${title}.

- Architecture: ${name}, input ${inputSize}×${inputSize}×${channels} (any size from ${card.smallestInput}×${card.smallestInput} on), ${classes} classes of ${dataset}.
- Parameters: ${parametersOf(card)}; ${millions(card.macs)} multiply-accumulates for a picture.
- Preprocessing: ${preprocessingOf(card.preprocessing)}.
- Licence of the weights: ${licence}.
- Source: ${source}.
${address === null ? '' : `- Address: <${address}>\n`}${sha256 === null ? `- SHA-256: ${address === null ? 'none, because there is no published file that is read here' : 'not known beforehand; what the server states is verified'}.` : `- SHA-256 of the float weights: \`${sha256}\``}

## Stored

First convolution and depthwise at 8 bits per channel, scales float16 and counted, biases float32. A file adds its header and labels, and float32 scales for layers that
have some too small for float16.

${markdownTable(['weights', 'bytes', 'bits per weight'], storedRows(card))}

## Accuracy

${accuracySection(card)}

## Golden logits

${goldenSection(card, golden)}
`;
}

function accuracySection({ accuracy }: ModelCard): string {
  if (accuracy.length === 0) {
    return 'Not measured: the weights were not at hand where this page was made. `dsconv eval PICTURES --model FILE` measures it.';
  }
  const rows = markdownTable(['weights', 'top-1', 'agreement with float'], accuracy.map(accuracyRow));
  const sources = accuracySources(accuracy).map(
    ({ pictures, data, command }) => `On ${pictures} pictures, ${data}; printed by \`${command}\`.`,
  );
  return `${rows}\n\n${sources.join('\n')}`;
}

function goldenSection({ id }: ModelCard, golden: ModelCard['golden']): string {
  if (golden === null) {
    return 'None: they need the weights, which were not at hand where this page was made.';
  }
  const { picture, weights, logits, backend } = golden;
  const best = Array.from(logits.keys())
    .sort((a, b) => logits[b]! - logits[a]!)
    .slice(0, 5)
    .map((index) => `${index}: ${logits[index]!.toFixed(4)}`);
  const file = weights === 'float32' ? ' FILE' : '';
  return `Of \`${picture}\` in the package's assets, ${weights}, computed on ${backend}; the largest of ${logits.length}: ${best.join(', ')}.
\`dsconv models ${id} --verify${file}\` holds a network against all of them.`;
}

/** The table of all networks. */
export function cardsPage(cards: readonly ModelCard[]): string {
  const rows = cards.map((card) => [
    `[${card.id}](${card.id}.md)`,
    card.dataset,
    millions(card.parameters.trainable),
    millions(card.macs),
    ...card.stored.map(({ bytes }) => (bytes / 1e6).toFixed(2)),
    topOne(card),
    card.licence,
    weightsOf(card),
  ]);
  return `${GENERATED}

# The zoo

Parameters and multiply-accumulates in millions, sizes in MB with scales and biases counted (blocks of 64). Accuracy is what was measured with this project, on the
data that the page of each network names; a published figure is on other pictures.

${markdownTable(
  [
    'network',
    'data set',
    'parameters',
    'MACs',
    'float32',
    '8 bits',
    '4 bits',
    '2 bits',
    'top-1 here',
    'licence',
    'weights from',
  ],
  rows,
)}
`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
