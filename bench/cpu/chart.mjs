/**
 * docs/benchmarks/cpu.svg: one panel per network, one bar per engine and number of threads, batch 1. A line in each panel is what one core needs at its
 * peak of int8 products.
 */
import { ENGINES } from './engines.mjs';
import { NETWORKS } from './networks.mjs';

const WIDTH = 960;
const MARGIN = 24;
const HEADER = 64;
const PANEL_WIDTH = (WIDTH - 3 * MARGIN) / 2;
const PANEL_TITLE = 30;
const LABELS = 180;
/** Room for the number behind the longest bar. */
const NUMBERS = 44;
const BAR = 13;
const ROW_GAP = 9;

/** Ours stand out; a second thread is the same hue, paler. */
const COLOURS = { ours: ['#0b6e4f', '#74b89e'], peers: ['#5b6470', '#aab1ba'] };

const LIMIT = '#b3261e';

/** tfjs-cpu's bar would be hundreds of times longer than the others. */
const LEFT_OUT = new Set(['tfjs-cpu', 'dsconv-native-eager']);

export function cpuChart({ machine, cases, layers }) {
  const limits = limitsOf(layers);
  const panels = Object.keys(NETWORKS)
    .map((network) => ({ network, rows: rowsOf(cases, network), limitMs: limits[network] ?? null }))
    .filter(({ rows }) => rows.length > 0);
  const parts = [];
  let top = HEADER;
  for (let n = 0; n < panels.length; n += 2) {
    const pair = panels.slice(n, n + 2);
    pair.forEach((panel, column) => {
      parts.push(drawPanel(panel, MARGIN + column * (PANEL_WIDTH + MARGIN), top));
    });
    top += Math.max(...pair.map(({ rows }) => panelHeight(rows))) + MARGIN;
  }
  const where = `${machine.cpu}, ${machine.instructions?.[0] ?? machine.platform}, ${machine.date}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13">
<title>Milliseconds per picture on the CPU</title>
<rect width="${WIDTH}" height="${top}" fill="#ffffff"/>
${text(MARGIN, 30, 'Milliseconds per picture, 224×224, batch 1 (shorter is better)', 'font-size="17" font-weight="600"')}
${text(MARGIN, 50, where, 'fill="#5b6470"')}
${legend()}
${parts.join('\n')}
</svg>
`;
}

/** Milliseconds of each network's products at the measured int8 peak of one core. */
function limitsOf(layers) {
  const networks = layers?.networks ?? [];
  return Object.fromEntries(
    networks.map(({ network, macs, peaks }) => [network, macs / peaks.int8Dot / 1e6]),
  );
}

function legend() {
  return ['1 thread', '2 threads']
    .map((label, n) => {
      const x = WIDTH - MARGIN - 190 + n * 95;
      const swatches = [COLOURS.ours[n], COLOURS.peers[n]]
        .map((fill, at) => `<rect x="${x + at * 12}" y="40" width="10" height="10" fill="${fill}"/>`)
        .join('');
      return swatches + text(x + 28, 50, label);
    })
    .join('\n');
}

/** One row per engine and block size with the cases of one and two threads. */
function rowsOf(cases, network) {
  const shown = cases.filter(
    (c) =>
      c.network === network &&
      c.batch === 1 &&
      c.threads <= 2 &&
      c.medianMs !== null &&
      !LEFT_OUT.has(c.engine),
  );
  const rows = new Map();
  for (const c of shown) {
    const label = c.blockSize ? `${c.engine} B=${c.blockSize}` : c.engine;
    if (!rows.has(label)) rows.set(label, { label, engine: c.engine, bars: [] });
    rows.get(label).bars.push(c);
  }
  const order = Object.keys(ENGINES);
  return [...rows.values()].sort((a, b) => order.indexOf(a.engine) - order.indexOf(b.engine));
}

const rowHeight = ({ bars }) => bars.length * BAR + ROW_GAP;
const panelHeight = (rows) => PANEL_TITLE + rows.reduce((sum, row) => sum + rowHeight(row), 0);

function drawPanel({ network, rows, limitMs }, left, top) {
  const longest = Math.max(...rows.flatMap(({ bars }) => bars.map(({ medianMs }) => medianMs)));
  const scale = (PANEL_WIDTH - LABELS - NUMBERS) / longest;
  const start = left + LABELS;
  const parts = [text(left, top + 16, NETWORKS[network].title, 'font-size="15" font-weight="600"')];
  let y = top + PANEL_TITLE;
  for (const row of rows) {
    const { label, engine, bars } = row;
    const ours = engine.startsWith('dsconv');
    const middle = y + (bars.length * BAR) / 2 + 4.5;
    const weight = ours ? ' font-weight="600"' : '';
    parts.push(text(start - 8, middle, label, `text-anchor="end" font-size="12"${weight}`));
    for (const { threads, medianMs } of bars) {
      const fill = COLOURS[ours ? 'ours' : 'peers'][threads - 1];
      const length = Math.max(1, medianMs * scale).toFixed(1);
      parts.push(`<rect x="${start}" y="${y}" width="${length}" height="${BAR - 1}" fill="${fill}"/>`);
      const shown = medianMs.toFixed(medianMs < 10 ? 2 : medianMs < 100 ? 1 : 0);
      parts.push(text(start + Number(length) + 5, y + 10.5, shown, 'font-size="11"'));
      y += BAR;
    }
    y += ROW_GAP;
  }
  if (limitMs !== null) {
    const x = (start + limitMs * scale).toFixed(1);
    const attributes = `stroke="${LIMIT}" stroke-dasharray="3 2"`;
    parts.push(`<line x1="${x}" x2="${x}" y1="${top + PANEL_TITLE - 4}" y2="${y - ROW_GAP}" ${attributes}/>`);
    const label = `one core's int8 peak: ${limitMs.toFixed(1)}`;
    parts.push(text(left + PANEL_WIDTH, top + 16, label, `text-anchor="end" font-size="11" fill="${LIMIT}"`));
  }
  return parts.join('\n');
}

function text(x, y, content, attributes = '') {
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`;
}
