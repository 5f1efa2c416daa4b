/** Every setting that was tried: its size against how far its answers are from float. */
import { at, bytes, escapeText, linear, logarithmic, logTicks, plain, ticks } from '@dsconv/converter/report';
import { byId } from '../page/dom.js';

export interface Try {
  /** Such as '4 bits, blocks of 64'. */
  title: string;
  bytes: number;
  /** Nats per picture. */
  divergence: number;
}

const [WIDTH, HEIGHT] = [560, 230];
const MARGIN = { top: 18, right: 24, bottom: 44, left: 58 };

/** @param tries of one network; the last one is where it stands now */
export function showTrail(tries: readonly Try[]): void {
  const current = tries.at(-1);
  byId('trail').innerHTML = current ? chart(tries, current) : '';
  byId('trail-note').textContent =
    tries.length > 1
      ? `${tries.length} settings tried. Move the sliders for more.`
      : 'Move the sliders: every setting you try leaves a point here.';
}

function chart(tries: readonly Try[], current: Try): string {
  const sizes = tries.map((one) => one.bytes);
  const [low, high] = [Math.min(...sizes) * 0.8, Math.max(...sizes) * 1.25];
  const most = Math.max(...tries.map(({ divergence }) => divergence), 1e-3) * 1.15;
  const x = logarithmic(low, high, MARGIN.left, WIDTH - MARGIN.right);
  const y = linear(0, most, HEIGHT - MARGIN.bottom, MARGIN.top);
  const bottom = HEIGHT - MARGIN.bottom;
  const down = logTicks(low, high).map((value) => {
    const p = at(x(value));
    return `<line x1="${p}" x2="${p}" y1="${MARGIN.top}" y2="${bottom}" stroke="var(--line)"/><text x="${p}" y="${bottom + 17}" text-anchor="middle" fill="var(--soft)">${bytes(value)}</text>`;
  });
  const across = ticks(0, most, 4).map((value) => {
    const p = at(y(value));
    return `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${p}" y2="${p}" stroke="var(--line)"/><text x="${MARGIN.left - 7}" y="${p}" dy="0.35em" text-anchor="end" fill="var(--soft)">${plain(value)}</text>`;
  });
  const points = tries.map((one) => {
    const isCurrent = one === current;
    const title = `${one.title}: ${bytes(one.bytes)}, ${plain(one.divergence)} nats`;
    return `<circle cx="${at(x(one.bytes))}" cy="${at(y(one.divergence))}" r="${isCurrent ? 7 : 4.5}" fill="var(--b)" opacity="${isCurrent ? 1 : 0.55}" stroke="var(--panel)" stroke-width="1.5"><title>${escapeText(title)}</title></circle>`;
  });
  const label = `Settings tried, bytes against divergence from the float network's answers. Now: ${current.title}, ${bytes(current.bytes)}, ${plain(current.divergence)} nats per picture.`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(label)}" font-size="11">${down.join('')}${across.join('')}${points.join('')}
<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 8}" text-anchor="middle" fill="var(--ink)">bytes</text>
<text transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle" fill="var(--ink)">nats from float</text></svg>`;
}
