/** Signal-to-noise ratios of all layers side by side, in the order of the network, and what each layer's rounding does to the answers. */
import type { LayerComparison } from '@dsconv/converter';
import { at, decibels, escapeText, linear, plain, type Scale, ticks } from '@dsconv/converter/report';

const ROW = 22;
const [LEFT, TOP, BOTTOM] = [170, 46, 34];
/** Right ends of the two panels, and where the second begins. */
const [SNR_END, HARM_START, WIDTH] = [650, 690, 960];

const SERIES = [
  { label: 'weights', colour: 'var(--a)', of: (layer: LayerComparison) => layer.weightSimilarity.snrDb },
  {
    label: 'outputs, this layer alone',
    colour: 'var(--c)',
    of: (layer: LayerComparison) => layer.ownOutputSimilarity.snrDb,
  },
  {
    label: 'outputs, all layers so far',
    colour: 'var(--b)',
    of: (layer: LayerComparison) => layer.outputSimilarity.snrDb,
  },
] as const;

/** @param layers in the order of the network */
export function layerChart(layers: readonly LayerComparison[]): string {
  const ratios = layers.flatMap((layer) => SERIES.map(({ of }) => of(layer) ?? 0));
  const [low, high] = [Math.min(0, ...ratios), Math.max(10, ...ratios)];
  const bottom = TOP + layers.length * ROW;
  const x = linear(low, high * 1.04, LEFT, SNR_END);
  const harm = linear(0, Math.max(...layers.map((layer) => layer.harm), 1e-9), HARM_START, WIDTH - 60);
  const grid = ticks(low, high, 6).map((value) => {
    const p = at(x(value));
    return `<line x1="${p}" x2="${p}" y1="${TOP}" y2="${bottom}" stroke="var(--line)"/><text x="${p}" y="${bottom + 18}" text-anchor="middle" fill="var(--soft)">${plain(value)}${value === 0 ? ' dB' : ''}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${bottom + BOTTOM}" role="img" aria-label="Signal-to-noise ratios of ${layers.length} layers in decibels, and the divergence each causes; the table below has the numbers." font-size="12">
${legend()}
${grid.join('')}
${layers.map((layer, n) => row(layer, TOP + n * ROW + ROW / 2, x, harm)).join('\n')}
</svg>`;
}

function row(layer: LayerComparison, y: number, x: Scale, harm: Scale): string {
  const marks = SERIES.map(({ label, colour, of }, n) => {
    const ratio = of(layer);
    if (ratio === null) return '';
    const title = `<title>${escapeText(`${layer.name}, ${label}: ${decibels(ratio)}`)}</title>`;
    const [cx, cy] = [at(x(ratio)), at(y)];
    // Shapes differ too, for those who see no colours.
    if (n === 0) return `<circle cx="${cx}" cy="${cy}" r="4.5" fill="${colour}">${title}</circle>`;
    if (n === 1)
      return `<rect x="${at(x(ratio) - 4)}" y="${at(y - 4)}" width="8" height="8" fill="${colour}">${title}</rect>`;
    return `<path d="M${cx} ${at(y - 5.5)}l5.5 5.5-5.5 5.5-5.5-5.5z" fill="${colour}">${title}</path>`;
  });
  const found = SERIES.map(({ of }) => of(layer)).filter((ratio): ratio is number => ratio !== null);
  const span = `<line x1="${at(x(Math.min(...found)))}" x2="${at(x(Math.max(...found)))}" y1="${at(y)}" y2="${at(y)}" stroke="var(--line)" stroke-width="3"/>`;
  const bits = `<tspan fill="var(--soft)"> ${layer.bits}</tspan>`;
  const end = Math.max(harm(layer.harm), HARM_START + 1);
  return `<text x="${LEFT - 12}" y="${at(y)}" dy="0.35em" text-anchor="end" fill="var(--ink)">${escapeText(layer.name)}${bits}</text>${found.length > 0 ? span : ''}${marks.join('')}<rect x="${HARM_START}" y="${at(y - 6)}" width="${at(end - HARM_START)}" height="12" rx="2" fill="var(--b)" opacity="0.85"/><text x="${at(end + 6)}" y="${at(y)}" dy="0.35em" fill="var(--soft)">${plain(layer.harm)}</text>`;
}

function legend(): string {
  const items = [
    `<circle cx="${LEFT}" cy="16" r="4.5" fill="${SERIES[0].colour}"/><text x="${LEFT + 11}" y="16" dy="0.35em">${SERIES[0].label}</text>`,
    `<rect x="${LEFT + 86}" y="12" width="8" height="8" fill="${SERIES[1].colour}"/><text x="${LEFT + 101}" y="16" dy="0.35em">${SERIES[1].label}</text>`,
    `<path d="M${LEFT + 262} 10.5l5.5 5.5-5.5 5.5-5.5-5.5z" fill="${SERIES[2].colour}"/><text x="${LEFT + 274}" y="16" dy="0.35em">${SERIES[2].label}</text>`,
    `<text x="${HARM_START}" y="16" dy="0.35em">harm, nats per picture</text>`,
  ];
  return `<g fill="var(--ink)">${items.join('')}<text x="${LEFT - 12}" y="16" dy="0.35em" text-anchor="end" fill="var(--soft)">layer, bits</text></g>`;
}
