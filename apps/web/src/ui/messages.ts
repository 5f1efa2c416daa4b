/** What the page says: what is under way, what went wrong. */
import { byId, element } from '../page/dom.js';
import type { Progress } from '../workers/channel.js';

/** Said by screen readers, shown at the top. */
export function say(text: string): void {
  const status = byId('status');
  if (status.textContent !== text) status.textContent = text;
}

/**
 * Shows a bar while a call runs. Calls may overlap: the last one that told something is shown, until all have ended.
 *
 * @returns the function to tell it, and the one to end it
 */
export function startProgress(): { tell: (progress: Progress) => void; end: () => void } {
  let isOpen = true;
  running++;
  return {
    tell({ task, done, total }) {
      if (!isOpen) return;
      const bar = byId<HTMLProgressElement>('progress-bar');
      byId('progress-task').textContent = total ? `${task}: ${Math.round((100 * done) / total)} %` : task;
      if (total) [bar.max, bar.value] = [total, done];
      else bar.removeAttribute('value');
      byId('progress').hidden = false;
    },
    end() {
      if (!isOpen) return;
      isOpen = false;
      if (--running === 0) byId('progress').hidden = true;
    },
  };
}

let running = 0;

/** A failure in words, until it is closed or something else succeeds. */
export function showError(error: unknown, more?: { label: string; act: () => void }): void {
  const message = error instanceof Error ? error.message : String(error);
  const close = element(
    'button',
    { type: 'button', class: 'close', 'aria-label': 'Close this message' },
    '×',
  );
  close.addEventListener('click', hideError);
  const box = element('div', { class: 'message' }, element('p', {}, capital(message)));
  if (more) {
    const button = element('button', { type: 'button', class: 'button' }, more.label);
    button.addEventListener('click', () => {
      hideError();
      more.act();
    });
    box.append(button);
  }
  box.append(close);
  byId('alert').replaceChildren(box);
}

export function hideError(): void {
  byId('alert').replaceChildren();
}

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
