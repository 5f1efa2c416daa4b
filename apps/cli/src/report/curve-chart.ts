/** The curve of sizes and losses that a choice of bits was made from. */
import type { AllocationReport, CurvePoint } from '@dsconv/converter';
import {
  at,
  bytes,
  escapeText,
  logarithmic,
  logTicks,
  PALETTE,
  percent,
  plain,
  type Scale,
} from '@dsconv/converter/report';

const [WIDTH, HEIGHT] = [760, 420];
const MARGIN = { top: 56, right: 28, bottom: 56, left: 76 };

/** A complete SVG file, readable in light and dark. */
export function curveSvg(allocation: AllocationReport): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${curveChart(allocation, `<style>${PALETTE}</style>`)}\n`;
}

/**
 * The chart alone.
 *
 * @param style put inside, where no page defines the colours
 */
export function curveChart({ curve, chosen, pictures }: AllocationReport, style = ''): string {
  const losses = curve.flatMap(({ predictedLoss, measuredLoss }) => [predictedLoss, measuredLoss ?? 0]);
  const positive = losses.filter((loss) => loss > 0);
  const [low, high] = [Math.min(...positive, 1), Math.max(...positive, 1e-3)];
  // A curve over many powers of ten would show nothing but its end, where nothing is lost any more.
  const floor = Math.max(low, high * 1e-4);
  const [first, last] = [curve[0]!.kernelBytes, curve.at(-1)!.kernelBytes];
  const x = logarithmic(first * 0.97, last * 1.03 + 1, MARGIN.left, WIDTH - MARGIN.right);
  const y = logarithmic(floor * 0.8, high * 1.4, HEIGHT - MARGIN.bottom, MARGIN.top);
  const shown = curve.filter(({ predictedLoss }) => predictedLoss >= floor);
  const line = shown.map((point) => `${at(x(point.kernelBytes))},${at(y(point.predictedLoss))}`).join(' ');
  const source = pictures > 0 ? `on ${pictures} pictures` : 'on noise in place of pictures';
  const label = `Bytes of kernels against the divergence from the float network's answers, ${source}. Chosen: ${bytes(chosen.kernelBytes)}, ${chosen.bitsPerWeight.toFixed(2)} bits per weight, predicted ${plain(chosen.predictedLoss)} nats.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(label)}" font-family="system-ui, sans-serif" font-size="13">
${style}
<rect width="100%" height="100%" fill="var(--paper)"/>
${axes(x, y, first, last, floor, high)}
<polyline points="${line}" fill="none" stroke="var(--a)" stroke-width="2.5" stroke-linejoin="round"/>
${curve.map((point) => measuredMark(point, x, y, floor)).join('')}
${chosenMark(chosen, x, y, floor)}
${legend(curve.some(({ measuredLoss }) => measuredLoss !== null))}
</svg>`;
}

function axes(x: Scale, y: Scale, first: number, last: number, low: number, high: number): string {
  const bottom = HEIGHT - MARGIN.bottom;
  const vertical = logTicks(first, last).map((value) => {
    const p = at(x(value));
    return `<line x1="${p}" x2="${p}" y1="${MARGIN.top}" y2="${bottom}" stroke="var(--line)"/><text x="${p}" y="${bottom + 20}" text-anchor="middle" fill="var(--soft)">${bytes(value)}</text>`;
  });
  const horizontal = logTicks(low, high * 1.3).map((value) => {
    const p = at(y(value));
    return `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${p}" y2="${p}" stroke="var(--line)"/><text x="${MARGIN.left - 8}" y="${p}" dy="0.35em" text-anchor="end" fill="var(--soft)">${plain(value)}</text>`;
  });
  const middle = (MARGIN.top + bottom) / 2;
  return `${vertical.join('')}${horizontal.join('')}
<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 12}" text-anchor="middle" fill="var(--ink)">bytes of kernels</text>
<text transform="translate(20 ${middle}) rotate(-90)" text-anchor="middle" fill="var(--ink)">divergence from float, nats per picture</text>`;
}

function measuredMark(
  { kernelBytes, bitsPerWeight, measuredLoss, agreement }: CurvePoint,
  x: Scale,
  y: Scale,
  floor: number,
): string {
  if (measuredLoss === null) return '';
  const title = `${bytes(kernelBytes)}, ${bitsPerWeight.toFixed(2)} bits per weight: measured ${plain(measuredLoss)}, ${percent(agreement, 1)} of the classes as in float`;
  return `<circle cx="${at(x(kernelBytes))}" cy="${at(y(Math.max(measuredLoss, floor)))}" r="4.5" fill="var(--b)" stroke="var(--paper)" stroke-width="1.5"><title>${escapeText(title)}</title></circle>`;
}

function chosenMark(
  { kernelBytes, bitsPerWeight, predictedLoss }: CurvePoint,
  x: Scale,
  y: Scale,
  floor: number,
): string {
  const [cx, cy] = [x(kernelBytes), y(Math.max(predictedLoss, floor))];
  const isRight = cx > WIDTH - 190;
  const text = `${bytes(kernelBytes)} · ${bitsPerWeight.toFixed(2)} bits per weight`;
  return `<line x1="${at(cx)}" x2="${at(cx)}" y1="${at(cy)}" y2="${HEIGHT - MARGIN.bottom}" stroke="var(--a)" stroke-dasharray="3 3"/>
<circle cx="${at(cx)}" cy="${at(cy)}" r="6" fill="var(--paper)" stroke="var(--a)" stroke-width="3"/>
<text x="${at(cx + (isRight ? -12 : 12))}" y="${at(cy - 10)}" text-anchor="${isRight ? 'end' : 'start'}" fill="var(--ink)" font-weight="600">${text}</text>`;
}

function legend(isMeasured: boolean): string {
  const measured = isMeasured
    ? `<circle cx="${MARGIN.left + 118}" cy="30" r="4.5" fill="var(--b)"/><text x="${MARGIN.left + 130}" y="30" dy="0.35em">measured, whole networks</text>`
    : '';
  return `<g fill="var(--ink)"><line x1="${MARGIN.left}" x2="${MARGIN.left + 24}" y1="30" y2="30" stroke="var(--a)" stroke-width="2.5"/><text x="${MARGIN.left + 32}" y="30" dy="0.35em">predicted</text>${measured}<circle cx="${WIDTH - 112}" cy="30" r="6" fill="var(--paper)" stroke="var(--a)" stroke-width="3"/><text x="${WIDTH - 98}" y="30" dy="0.35em">chosen</text></g>`;
}
