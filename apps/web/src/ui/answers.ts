/** What a network says about the picture, and how long it takes. */

import { plain } from '@dsconv/converter/report';
import { byId, element, fillTerms } from '../page/dom.js';
import type { Run, Timing, Which } from '../workers/api.js';
import { inThreads } from '../workers/in-threads.js';

/** Rows that a card always has, so that nothing jumps when answers come. */
const ROWS = 5;

export function showRun(which: Which, run: Run): void {
  const rows = run.classes.map(({ label, index, probability }) => {
    const bar = element('span', { class: 'bar', style: `--part: ${probability.toFixed(4)}` });
    return element(
      'li',
      {},
      element('span', { class: 'label' }, label ?? `class ${index}`),
      element('span', { class: 'value' }, percent(probability)),
      bar,
    );
  });
  byId(`${which}-classes`).replaceChildren(...rows);
  byId(`${which}-classes`).removeAttribute('aria-busy');
  showTimes(which, run, null);
}

/** @param timing null while it is being measured */
export function showTimes(which: Which, run: Run, timing: Timing | null): void {
  const steady = timing ? `${milliseconds(timing.median)}, median of ${timing.runs}` : 'measuring …';
  const plan = run.plan === 'compiled' ? 'a compiled plan' : run.plan;
  const threads = timing?.threads ?? run.threads;
  const by = [plan, run.tier, threads === null ? null : inThreads(threads)].filter((part) => part !== null);
  fillTerms(byId(`${which}-times`), [
    ['First run', `${milliseconds(run.firstMilliseconds)}, preparing included`],
    ['Then', steady],
    ['By', by.join(', ')],
  ]);
}

/** Empty rows, while nothing is known or something is computed. */
export function showWaiting(which: Which): void {
  const list = byId(`${which}-classes`);
  list.setAttribute('aria-busy', 'true');
  if (list.childElementCount > 0) return;
  const empty = Array.from({ length: ROWS }, () =>
    element('li', { class: 'empty', 'aria-hidden': 'true' }, element('span', { class: 'bar' })),
  );
  list.replaceChildren(...empty);
}

/** Takes old answers away: they are not about what is chosen now. */
export function clearAnswers(which: Which): void {
  byId(`${which}-classes`).replaceChildren();
  byId(`${which}-times`).replaceChildren();
  showWaiting(which);
  byId(`${which}-classes`).removeAttribute('aria-busy');
}

/** The best class with its probability, for the status line. */
export function inWords({ classes }: Run): string {
  const [best] = classes;
  return best ? `${best.label ?? `class ${best.index}`}, ${percent(best.probability)}` : 'no class';
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

export const milliseconds = (value: number): string =>
  value >= 100 ? `${Math.round(value)} ms` : `${plain(Number(value.toPrecision(2)))} ms`;
