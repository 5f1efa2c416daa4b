/** The curve of a training as SVG: loss of every step, smoothed, and the score after every epoch. */

import {
  at,
  escapeText,
  linear,
  logarithmic,
  logTicks,
  PALETTE,
  plain,
  ticks,
} from '@dsconv/converter/report';
import type { EpochReport } from '@dsconv/layers';
import { percent } from '../format.js';

const [WIDTH, HEIGHT] = [760, 400];
const MARGIN = { top: 52, right: 64, bottom: 52, left: 68 };
/** Steps that are averaged for the thick line, as a share of all. */
const SMOOTHING = 0.02;

export interface LossPoint {
  step: number;
  loss: number;
}

/** A complete SVG file, readable in light and dark. */
export function lossCurve(
  points: readonly LossPoint[],
  epochs: readonly EpochReport[],
  perEpoch: number,
): string {
  const [first, last] = [points[0]?.step ?? 1, points.at(-1)?.step ?? 1];
  const losses = points.map(({ loss }) => Math.max(loss, 1e-6));
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const x = linear(first, last, MARGIN.left, right);
  const y = logarithmic(low * 0.9, high * 1.1, bottom, MARGIN.top);
  const line = (values: readonly number[]): string =>
    values.map((value, n) => `${at(x(points[n]!.step))},${at(y(value))}`).join(' ');
  const scored = epochs.filter(({ score }) => score !== null);
  const label = `Loss over ${last} steps, from ${plain(losses[0] ?? 0)} to ${plain(losses.at(-1) ?? 0)}.`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(label)}" font-family="system-ui, sans-serif" font-size="13">
<style>${PALETTE}</style>
<rect width="100%" height="100%" fill="var(--paper)"/>
${ticks(first, last, 6)
  .map((step) => vertical(at(x(step)), bottom, String(Math.round(step))))
  .join('')}
${logTicks(low * 0.9, high * 1.1)
  .map((value) => horizontal(at(y(value)), right, plain(value)))
  .join('')}
<polyline points="${line(losses)}" fill="none" stroke="var(--a)" stroke-opacity="0.3"/>
<polyline points="${line(smoothed(losses))}" fill="none" stroke="var(--a)" stroke-width="2.5" stroke-linejoin="round"/>
${scores(scored, (epoch) => x(Math.min(last, epoch * perEpoch)), bottom)}
<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 12}" text-anchor="middle" fill="var(--ink)">step</text>
<text x="${MARGIN.left}" y="28" fill="var(--ink)"><tspan fill="var(--a)">━</tspan> loss${scored.length > 0 ? '   <tspan fill="var(--b)">●</tspan> score after the epoch' : ''}</text>
</svg>
`;
}

const vertical = (x: string, bottom: number, text: string): string =>
  `<line x1="${x}" x2="${x}" y1="${MARGIN.top}" y2="${bottom}" stroke="var(--line)"/><text x="${x}" y="${bottom + 20}" text-anchor="middle" fill="var(--soft)">${text}</text>`;

const horizontal = (y: string, right: number, text: string): string =>
  `<line x1="${MARGIN.left}" x2="${right}" y1="${y}" y2="${y}" stroke="var(--line)"/><text x="${MARGIN.left - 8}" y="${y}" dy="0.35em" text-anchor="end" fill="var(--soft)">${text}</text>`;

/** Means over a window that looks back. */
function smoothed(values: readonly number[]): number[] {
  const width = Math.max(1, Math.round(values.length * SMOOTHING));
  let sum = 0;
  return values.map((value, n) => {
    sum += value - (n >= width ? values[n - width]! : 0);
    return sum / Math.min(n + 1, width);
  });
}

/** Scores on a scale of their own, each with its number. */
function scores(reports: readonly EpochReport[], x: (epoch: number) => number, bottom: number): string {
  if (reports.length === 0) return '';
  const values = reports.map(({ score }) => score!);
  const y = linear(Math.min(...values) - 1e-3, Math.max(...values) + 1e-3, bottom - 24, MARGIN.top + 24);
  const every = Math.ceil(reports.length / 12);
  return reports
    .map(({ epoch, score, isBest }, n) => {
      const [cx, cy] = [at(x(epoch)), y(score!)];
      const shown = n % every === 0 || n === reports.length - 1;
      const text = shown
        ? `<text x="${cx}" y="${at(cy - 10)}" text-anchor="middle" fill="var(--b)">${percent(score!, 1)}</text>`
        : '';
      return `<circle cx="${cx}" cy="${at(cy)}" r="${isBest ? 5 : 3.5}" fill="var(--b)"><title>epoch ${epoch}: ${percent(score!, 2)}</title></circle>${text}`;
    })
    .join('');
}
