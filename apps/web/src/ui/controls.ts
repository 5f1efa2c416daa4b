/** Network, bits, block size and backends: the controls, and what they are set to. */
import { bytes } from '@dsconv/converter/report';
import { byId, element } from '../page/dom.js';
import { BLOCK_SIZES, formOf, type Settings } from '../page/settings.js';
import type { BackendChoice, NetworkChoice, NetworkInfo, StoredFile } from '../workers/api.js';
import { inThreads } from '../workers/in-threads.js';

const FIRST_FILE = { kind: 'file', index: 0 } as const;
const OWN = { id: 'url', title: 'A file of your own, by its address' };

export class Controls {
  private readonly bits = byId<HTMLInputElement>('bits');
  private readonly block = byId<HTMLInputElement>('block');

  /** @param onChange what differs now */
  constructor(private readonly onChange: (change: Partial<Settings>) => void) {
    const network = byId<HTMLSelectElement>('network');
    network.addEventListener('change', () => {
      this.showUrlForm(network.value === OWN.id);
      onChange({ network: network.value, url: null, wish: FIRST_FILE, layer: null, sample: null });
    });
    byId('url-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const url = byId<HTMLInputElement>('url').value.trim();
      onChange({ network: OWN.id, url, wish: FIRST_FILE, layer: null });
    });
    for (const slider of [this.bits, this.block]) slider.addEventListener('input', () => this.readSliders());
    for (const name of ['backend', 'compare'] as const) {
      byId<HTMLSelectElement>(name).addEventListener('change', ({ target }) => {
        onChange({ [name]: (target as HTMLSelectElement).value });
      });
    }
    const invert = byId<HTMLInputElement>('invert');
    invert.addEventListener('change', () => onChange({ invert: invert.checked }));
  }

  showNetworks(choices: readonly NetworkChoice[], chosen: string): void {
    const network = ({ id, title, shipped, floatBytes }: NetworkChoice): HTMLElement =>
      element(
        'option',
        { value: id },
        shipped ? title : `${title.replace(/,? for ImageNet-1k$/, '')} (${bytes(floatBytes)})`,
      );
    const groups = [
      element(
        'optgroup',
        { label: 'In this page' },
        ...choices.filter(({ shipped }) => shipped).map(network),
      ),
      element(
        'optgroup',
        { label: 'To download' },
        ...choices.filter(({ shipped }) => !shipped).map(network),
      ),
      element('optgroup', { label: 'Elsewhere' }, element('option', { value: OWN.id }, OWN.title)),
    ];
    const select = byId<HTMLSelectElement>('network');
    select.replaceChildren(...groups);
    select.value = chosen;
    this.showUrlForm(chosen === OWN.id);
  }

  showBackends(choices: readonly BackendChoice[], settings: { backend: string; compare: string }): void {
    for (const [id, runs, chosen] of [
      ['backend', 'quantized', settings.backend],
      ['compare', 'float', settings.compare],
    ] as const) {
      const mine = choices.filter((choice) => choice.runs === runs);
      const tiers = mine.filter(isTier).map(option);
      const select = byId<HTMLSelectElement>(id);
      select.replaceChildren(...mine.filter((choice) => !isTier(choice)).map(option));
      if (tiers.length > 0) select.append(element('optgroup', { label: 'One tier of a backend' }, ...tiers));
      select.value = chosen;
    }
    const whole = choices.filter((choice) => !isTier(choice));
    const missing = whole.filter(({ available }) => !available);
    const notes = missing.map(
      ({ title, runs, reason }) =>
        `${title} for ${runs === 'float' ? 'float' : 'DSConv'} is not offered: ${reason}.`,
    );
    for (const { threads } of whole) {
      if (!threads?.reason) continue;
      notes.push(`DSConv on the CPU has ${inThreads(threads.count)}: ${threads.reason}.`);
      // The service worker, which is there from then on, adds what isolates the page.
      if (!crossOriginIsolated && 'serviceWorker' in navigator)
        notes.push('Once it is loaded again, this page isolates itself.');
    }
    byId('backend-note').textContent = notes.join(' ');
  }

  /** Puts the controls where the settings are. */
  show({ wish, invert, url }: Settings, info: NetworkInfo | null): void {
    const files = info?.files ?? [];
    const { bits, blockSize } = formOf(wish, files);
    this.bits.value = `${bits}`;
    this.block.value = `${Math.max(0, BLOCK_SIZES.indexOf(blockSize as (typeof BLOCK_SIZES)[number]))}`;
    byId<HTMLInputElement>('invert').checked = invert;
    if (url !== null) byId<HTMLInputElement>('url').value = url;
    this.showValues(bits, blockSize);
    this.showFiles(files, wish.kind === 'file' ? wish.index : null);
  }

  /** @param chosen place of the file in use, or null where weights are rounded here */
  private showFiles(files: readonly StoredFile[], chosen: number | null): void {
    const group = byId('files');
    const hadFocus = group.contains(document.activeElement);
    const buttons = files.map((file, index) => {
      const pressed = `${index === chosen}`;
      const text = `${file.bits} bits, ${bytes(file.bytes)}`;
      const button = element(
        'button',
        { type: 'button', class: 'button small', 'aria-pressed': pressed, 'data-bytes': `${file.bytes}` },
        text,
      );
      button.addEventListener('click', () => this.onChange({ wish: { kind: 'file', index } }));
      return button;
    });
    const words = files.length > 1 ? 'Files as they came, retrained:' : 'The file as it came:';
    group.replaceChildren(element('span', {}, words), ...buttons);
    group.hidden = files.length === 0;
    // What was pressed has been made anew.
    if (hadFocus && chosen !== null) buttons[chosen]?.focus();
  }

  private readSliders(): void {
    const bits = Number(this.bits.value);
    const blockSize = BLOCK_SIZES[Number(this.block.value)]!;
    this.showValues(bits, blockSize);
    this.onChange({ wish: { kind: 'round', bits, blockSize } });
  }

  private showValues(bits: number, blockSize: number): void {
    byId('bits-value').textContent = `${bits}`;
    byId('block-value').textContent = `${blockSize}`;
    this.block.setAttribute('aria-valuetext', `${blockSize}`);
  }

  private showUrlForm(isOwn: boolean): void {
    byId('url-form').hidden = !isOwn;
  }
}

/** A backend that is pinned to one of its tiers. */
const isTier = ({ name }: BackendChoice): boolean => name.includes('/');

function option({ name, title, available }: BackendChoice): HTMLElement {
  const text = available ? title : `${title} (not here)`;
  return element('option', { value: name, disabled: available ? null : '' }, text);
}
