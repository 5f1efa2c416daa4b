/** The layers as columns as high as their signal-to-noise ratio: a chart, and a group of radio buttons. */
import { decibels, ticks } from '@dsconv/converter/report';
import { byId, element } from '../page/dom.js';
import type { LayerRow } from '../workers/api.js';

/** The chart reaches at least this high, in decibels, so that it does not jump between small settings. */
const LEAST_TOP = 50;

export class LayerChart {
  private names = '';

  constructor(private readonly onChoose: (name: string) => void) {
    byId<HTMLSelectElement>('layer').addEventListener('change', ({ target }) => {
      this.onChoose((target as HTMLSelectElement).value);
    });
  }

  show(layers: readonly LayerRow[], chosen: string): void {
    const names = layers.map(({ name }) => name).join();
    if (names !== this.names) this.build(layers);
    this.names = names;
    const top = Math.max(LEAST_TOP, ...layers.map(({ snrDb }) => snrDb ?? 0));
    byId('layers')
      .querySelectorAll<HTMLLabelElement>('label')
      .forEach((label, n) => {
        const layer = layers[n]!;
        const isExact = layer.snrDb === null;
        label.style.setProperty('--part', (isExact ? 1 : Math.max(0, layer.snrDb! / top)).toFixed(4));
        label.classList.toggle('exact', isExact);
        const words = `${layer.name}: ${layer.bits} bits, ${isExact ? 'nothing lost' : decibels(layer.snrDb)}`;
        label.title = words;
        label.querySelector('.hidden')!.textContent = words;
      });
    this.drawAxis(top);
    this.choose(chosen);
  }

  choose(name: string): void {
    byId<HTMLSelectElement>('layer').value = name;
    for (const input of byId('layers').querySelectorAll('input')) input.checked = input.value === name;
  }

  private build(layers: readonly LayerRow[]): void {
    const columns = layers.map(({ name }) => {
      const input = element('input', { type: 'radio', name: 'layer-column', value: name });
      input.addEventListener('change', () => this.onChoose(name));
      return element(
        'label',
        {},
        input,
        element('span', { class: 'column' }),
        element('span', { class: 'hidden' }),
      );
    });
    const field = byId('layers');
    const [legend] = field.children;
    field.replaceChildren(legend!, element('div', { class: 'axis', 'aria-hidden': 'true' }), ...columns);
    const options = layers.map(({ name, shape }) =>
      element('option', { value: name }, `${name} · ${shape.join('×')}`),
    );
    byId('layer').replaceChildren(...options);
  }

  private drawAxis(top: number): void {
    const lines = ticks(0, top, 4).map((value) =>
      element('span', { style: `--part: ${(value / top).toFixed(4)}` }, value === 0 ? '0 dB' : `${value}`),
    );
    byId('layers')
      .querySelector('.axis')!
      .replaceChildren(...lines);
  }
}
