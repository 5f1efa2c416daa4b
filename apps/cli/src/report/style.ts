import { PALETTE } from '@dsconv/converter/report';

/** Of the report; no fonts and no pictures from elsewhere. */
export const STYLE = `${PALETTE}
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
  header, main { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
  header { padding-top: 36px; }
  h1 { font-size: 28px; margin: 0; letter-spacing: -0.01em; }
  header p { margin: 4px 0 0; color: var(--soft); overflow-wrap: anywhere; }
  h2 { font-size: 20px; margin: 44px 0 6px; }
  section > p { max-width: 74ch; color: var(--soft); margin: 0 0 14px; }
  section > p b { color: var(--ink); font-weight: 600; }
  svg { display: block; width: 100%; height: auto; font-family: inherit; }
  a { color: var(--a); }
  a:focus-visible { outline: 2px solid var(--a); outline-offset: 2px; }
  .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; margin: 28px 0 0; }
  .tiles div { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
  .tiles dt { color: var(--soft); font-size: 13px; }
  .tiles dd { margin: 2px 0 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
  .wide { overflow-x: auto; }
  .wide > svg { min-width: 760px; }
  .chart { max-width: 760px; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
  table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
  th, td { padding: 5px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
  thead th { color: var(--soft); font-weight: 500; }
  th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
  tbody th { font-weight: 500; }
  tbody tr:hover { background: var(--panel); }
  .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(460px, 100%), 1fr)); gap: 18px; }
  article { border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; min-width: 0; scroll-margin-top: 16px; }
  article:target { border-color: var(--a); }
  article h3 { margin: 0; font-size: 15px; overflow-wrap: anywhere; }
  article p { margin: 2px 0 10px; color: var(--soft); font-size: 13px; }
  figure { margin: 10px 0 0; }
  figure img { display: block; width: 100%; image-rendering: pixelated; border-radius: 4px; background: repeating-linear-gradient(45deg, var(--line) 0 2px, transparent 2px 6px); }
  figcaption { color: var(--soft); font-size: 12px; margin-top: 4px; }
  .key { display: inline-block; width: 22px; height: 11px; border-radius: 2px; vertical-align: -1px; margin: 0 2px 0 6px; }
  .key.area { background: var(--fill); border: 1px solid var(--a); }
  .key.bar { background: var(--b); }
  .key.gradient { width: 90px; }
  footer, main { padding-bottom: 48px; }
  @media print { article, tr { break-inside: avoid; } }
`;
