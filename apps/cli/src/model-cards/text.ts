/** Model cards for a terminal. */
import type { ModelCard } from '@dsconv/models';
import { bytes, table } from '../format.js';
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

/** One line per network. */
export function cardsText(cards: readonly ModelCard[]): string {
  const rows = cards.map((card) => [
    card.id,
    card.dataset,
    millions(card.parameters.trainable),
    millions(card.macs),
    bytes(card.stored.find(({ bits }) => bits === 4)!.bytes),
    topOne(card),
    card.licence,
    weightsOf(card),
  ]);
  const head = ['id', 'data set', 'parameters', 'MACs', '4 bits', 'top-1 here', 'licence', 'weights'];
  return `${table(head, rows, [2, 3, 4, 5])}\n'dsconv models ID' shows the card of one.\n`;
}

/** All of one. */
export function cardText(card: ModelCard): string {
  const { id, title, architecture, classes, dataset, source, address, sha256, licence, golden } = card;
  const { inputSize, channels } = architecture;
  const lines = [
    `${id}: ${title}`,
    '',
    `input          ${inputSize}×${inputSize}×${channels}, at least ${card.smallestInput}×${card.smallestInput}; ${preprocessingOf(card.preprocessing)}`,
    `classes        ${classes} of ${dataset}`,
    `parameters     ${parametersOf(card)}`,
    `work           ${millions(card.macs)} multiply-accumulates for a picture`,
    `licence        ${licence}`,
    `source         ${source}`,
    ...(address === null ? [] : [`address        ${address}`]),
    ...(sha256 === null ? [] : [`SHA-256        ${sha256}`]),
    `golden logits  ${golden === null ? 'none: the weights were not at hand' : `of ${golden.picture}, ${golden.weights}`}`,
    '',
    table(['stored as', 'bytes', 'bits per weight'], storedRows(card), [1, 2]),
  ];
  lines.push(accuracyText(card), '');
  return lines.join('\n');
}

function accuracyText({ accuracy }: ModelCard): string {
  if (accuracy.length === 0) return 'Accuracy is not measured: the weights were not at hand.';
  const rows = table(['weights', 'top-1', 'agreement'], accuracy.map(accuracyRow), [1, 2]);
  return `${rows}\n${accuracySources(accuracy)
    .map(({ pictures, data, command }) => `On ${pictures} pictures, ${data}: ${command}`)
    .join('\n')}`;
}
