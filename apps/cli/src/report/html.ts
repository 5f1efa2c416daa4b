/** The report of `inspect --html`: one file that needs nothing else, for light and dark, for screens and paper. */
import {
  type AllocationReport,
  type LayerComparison,
  type NetworkComparison,
  weightsOf,
} from '@dsconv/converter';
import {
  bytes,
  decibels,
  escapeText,
  percent,
  plain,
  SCALE_GRADIENT,
  weightHistogram,
} from '@dsconv/converter/report';
import { DSConvFilter } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { COMPARISON_HEAD, comparisonCells } from './comparison-cells.js';
import { curveChart } from './curve-chart.js';
import { layerChart } from './layer-chart.js';
import { scaleMap } from './scale-map.js';
import { STYLE } from './style.js';

export interface ReportInput {
  /** As they were named. */
  file: string;
  against: string;
  network: Network;
  comparison: NetworkComparison;
  /** Of the choice of bits, where there was one. */
  allocation: AllocationReport | null;
}

export async function htmlReport({
  file,
  against,
  network,
  comparison,
  allocation,
}: ReportInput): Promise<string> {
  const { layers } = comparison;
  const order = network.architecture.layers.map(({ name }) => name);
  const inOrder = [...layers].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const details: string[] = [];
  for (const layer of inOrder) details.push(await layerSection(layer, network, comparison.reference));
  const title = `${network.architecture.name}, quantized`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeText(title)}</h1>
<p>${escapeText(file)} against ${escapeText(against)}, on ${comparison.pictures} pictures</p>
</header>
<main>
${tiles(network, comparison)}
<section aria-labelledby="layers">
<h2 id="layers">Where it is lost</h2>
<p>Signal-to-noise ratio by layer, in the order of the network. <b>Weights</b> compares the stored weights with the float ones. <b>Outputs</b> are
compared before the activation: with this layer alone quantized, and with all layers before it too. <b>Harm</b> is how far the answers move from the float
network's with this layer alone quantized, as Kullback-Leibler divergence.</p>
<div class="wide">${layerChart(inOrder)}</div>
</section>
<section aria-labelledby="ranking">
<h2 id="ranking">Ranked by harm</h2>
<p><b>Changed</b>: classes that differ with this layer alone quantized. <b>Weights</b>, <b>alone</b>, <b>so far</b>: signal-to-noise as above; <b>cosine</b> of the outputs so far.</p>
<div class="wide">${ranking(layers)}</div>
</section>
${allocation ? curveSection(allocation) : ''}
<section aria-labelledby="details">
<h2 id="details">Layer by layer</h2>
<p><span class="key area"></span> float weights <span class="key bar"></span> quantized weights; the scales of blocks as colours, <span class="key gradient" style="background:${SCALE_GRADIENT}"></span> small to large.</p>
<div class="cards">
${details.join('\n')}
</div>
</section>
</main>
</body>
</html>
`;
}

function tiles(network: Network, { agreement, divergence, layers }: NetworkComparison): string {
  const weights = layers.reduce((sum, layer) => sum + layer.weights, 0);
  const stored = layers.reduce((sum, layer) => sum + layer.bytes, 0);
  const activations = network.activationBits === null ? 'float' : `${network.activationBits} bits`;
  const facts = [
    ['same class as float', percent(agreement, 1)],
    ['divergence, nats per picture', plain(divergence)],
    ['bits per weight, scales counted', ((8 * stored) / weights).toFixed(2)],
    ['kernels', `${bytes(stored)}, ${((4 * weights) / stored).toFixed(1)}× smaller`],
    ['activations', activations],
  ];
  const items = facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeText(value!)}</dd></div>`);
  return `<dl class="tiles">${items.join('')}</dl>`;
}

function ranking(layers: readonly LayerComparison[]): string {
  const head = ['layer', 'kind', 'shape', ...COMPARISON_HEAD];
  const rows = layers.map((layer) => {
    const cells = [layer.kind, layer.shape.join('×'), ...comparisonCells(layer)];
    const link = `<a href="#${anchor(layer.name)}">${escapeText(layer.name)}</a>`;
    return `<tr><th scope="row">${link}</th>${cells.map((cell) => `<td>${escapeText(cell)}</td>`).join('')}</tr>`;
  });
  return `<table><thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function curveSection(allocation: AllocationReport): string {
  return `<section aria-labelledby="curve"><h2 id="curve">Size against loss</h2><p>What a choice of bits and block sizes by layer can reach at every size.</p><div class="chart">${curveChart(allocation)}</div></section>`;
}

async function layerSection(layer: LayerComparison, network: Network, reference: Network): Promise<string> {
  const { filter } = network.weights.get(layer.name)!;
  const map = filter instanceof DSConvFilter ? await scaleMap(filter) : null;
  const form = layer.shifters.includes('kds') ? `blocks of ${layer.blockSize}` : 'one scale per channel';
  // A row is high enough to be seen, and a picture not higher than a screen.
  const height = map ? Math.min(320, Math.max(14, map.rows * 7)) : 0;
  const image = map
    ? `<figure><img src="${map.source}" alt="${escapeText(map.description)}" style="height:${height}px"><figcaption>${escapeText(map.description)}</figcaption></figure>`
    : '';
  return `<article id="${anchor(layer.name)}"><h3>${escapeText(layer.name)}</h3><p>${layer.shape.join('×')} · ${layer.bits} bits, ${form} · weights ${decibels(layer.weightSimilarity.snrDb ?? Infinity)} · harm ${plain(layer.harm)}</p>${weightHistogram(weightsOf(reference, layer.name), weightsOf(network, layer.name))}${image}</article>`;
}

const anchor = (name: string): string => `layer-${encodeURIComponent(name)}`;
