/** Tables that compare engines on several networks. */
import { table } from './markdown.mjs';

export const unique = (values) => [...new Set(values)];

/**
 * Engines and their weights down, networks across.
 *
 * @template {{ engine: string, network: string }} Case
 * @param {Case[]} shown one per engine, weights and network
 * @param {object} words
 * @param {string[]} words.order of the engines
 * @param {Record<string, { title: string }>} words.networks
 * @param {(shown: Case) => string} words.weights
 * @param {(shown: Case) => string} cell
 */
export function engineTable(shown, { order, networks, weights }, cell) {
  const names = unique(shown.map(({ network }) => network));
  const rows = unique(shown.map((c) => `${c.engine}|${weights(c)}`))
    .map((row) => row.split('|'))
    .sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return table(
    ['engine', 'weights', ...names.map((name) => networks[name].title)],
    rows.map(([engine, described]) => [
      engine,
      described,
      ...names.map((network) => {
        const found = shown.find(
          (c) => c.network === network && c.engine === engine && weights(c) === described,
        );
        return found ? cell(found) : '';
      }),
    ]),
  );
}
