import type { LayerComparison } from '@dsconv/converter';
import { bytes, decibels, percent, plain } from '@dsconv/converter/report';

/** Columns of {@link comparisonCells}. */
export const COMPARISON_HEAD = [
  'bits',
  'block',
  'bytes',
  'harm',
  'changed',
  'weights',
  'alone',
  'so far',
  'cosine',
];

/** What tables say about a layer that was held against its float self. */
export function comparisonCells(layer: LayerComparison): string[] {
  const { weightSimilarity, ownOutputSimilarity, outputSimilarity } = layer;
  return [
    `${layer.bits}`,
    layer.shifters.includes('kds') ? `${layer.blockSize}` : 'channel',
    bytes(layer.bytes),
    plain(layer.harm),
    percent(layer.changedClasses, 1),
    ...[weightSimilarity, ownOutputSimilarity, outputSimilarity].map(({ snrDb }) =>
      decibels(snrDb ?? Infinity),
    ),
    outputSimilarity.cosine?.toFixed(4) ?? '-',
  ];
}
