/** Every setting that was tried: its size against how far its answers are from float. */
import { at, bytes, escapeText, logarithmic, logTicks, plain, type Scale } from '@dsconv/converter/report';
import { byId } from '../page/dom.js';
import type { Wish } from '../workers/api.js';

export interface Try {
  /** Such as '4 bits, blocks of 64'. */
  title: string;
  /** Whether the weights are those of a file, or were rounded here. */
  kind: Wish['kind'];
  bytes: number;
  /** Nats per picture. */
  divergence: number;
}

/** Axes stay where they are while settings change: sizes as parts of the float network's, and divergences in nats. */
const [SMALLEST_PART, LARGEST_PART] = [1 / 18, 1 / 2.4];
const [LEAST, MOST] = [1e-5, 5];

/** Pixels between the labels of sizes. */
const ROOM = 58;

const HEIGHT = 240;
const MARGIN = { top: 12, right: 16, bottom: 46, left: 62 };

/**
 * @param tries of one network; the last one is where it stands now
 * @param floatBytes of the float network's file
 */
export function showTrail(tries: readonly Try[], floatBytes = 0): void {
  const current = tries.at(-1);
  const box = byId('trail');
  box.innerHTML = current ? chart(tries, current, floatBytes, Math.max(300, box.clientWidth || 480)) : '';
  byId('trail-note').textContent =
    'Every setting you try leaves a point: ● rounded here, ◆ as a file came. Further left is smaller, further down is closer to float.';
}

function chart(tries: readonly Try[], current: Try, floatBytes: number, width: number): string {
  const [low, high] = [floatBytes * SMALLEST_PART, floatBytes * LARGEST_PART];
  const [right, bottom] = [width - MARGIN.right, HEIGHT - MARGIN.bottom];
  const x = logarithmic(low, high, MARGIN.left, right);
  const y = logarithmic(LEAST, MOST, bottom, MARGIN.top);
  const within = (value: number): number => Math.min(MOST, Math.max(LEAST, value));
  let labelled = 0;
  const down = logTicks(low, high).map((value) => {
    const p = at(x(value));
    const hasRoom = x(value) - labelled >= ROOM && x(value) < right - ROOM / 3;
    if (hasRoom) labelled = x(value);
    return `<line x1="${p}" x2="${p}" y1="${MARGIN.top}" y2="${bottom}" stroke="var(--line)"/>${hasRoom ? `<text x="${p}" y="${bottom + 16}" text-anchor="middle" fill="var(--soft)">${bytes(value)}</text>` : ''}`;
  });
  const across = logTicks(LEAST, MOST).map((value) => {
    const p = at(y(value));
    return `<line x1="${MARGIN.left}" x2="${right}" y1="${p}" y2="${p}" stroke="var(--line)"/><text x="${MARGIN.left - 7}" y="${p}" dy="0.35em" text-anchor="end" fill="var(--soft)">${plain(value)}</text>`;
  });
  const points = tries.map((one) => point(one, one === current, x, (value) => y(within(value))));
  const label = `Settings tried: bytes against divergence from the float network's answers. Now ${current.title}: ${bytes(current.bytes)}, ${plain(current.divergence)} nats per picture.`;
  return `<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${escapeText(label)}" font-size="12">${down.join('')}${across.join('')}${points.join('')}
<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 8}" text-anchor="middle" fill="var(--ink)">bytes</text>
<text transform="translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle" fill="var(--ink)">nats from float</text></svg>`;
}

function point(one: Try, isCurrent: boolean, x: Scale, y: Scale): string {
  const title = `${one.title}: ${bytes(one.bytes)}, ${plain(one.divergence)} nats`;
  const [cx, cy, r] = [x(one.bytes), y(one.divergence), isCurrent ? 7 : 4.5];
  const look = `opacity="${isCurrent ? 1 : 0.55}" stroke="var(--panel)" stroke-width="1.5"><title>${escapeText(title)}</title>`;
  // Shapes differ too, for those who see no colours.
  if (one.kind === 'round')
    return `<circle cx="${at(cx)}" cy="${at(cy)}" r="${r}" fill="var(--b)" ${look}</circle>`;
  const d = r * 1.2;
  return `<path d="M${at(cx)} ${at(cy - d)}l${d} ${d}-${d} ${d}-${d}-${d}z" fill="var(--c)" ${look}</path>`;
}
