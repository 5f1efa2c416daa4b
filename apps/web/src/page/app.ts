/** What happens when: settings change, networks open, pictures are chosen. */
import { Controls } from '../ui/controls.js';
import { Gallery } from '../ui/gallery.js';
import { say, showError } from '../ui/messages.js';
import { showNetworkNote } from '../ui/network-note.js';
import type { NetworkChoice, Which, Wish } from '../workers/api.js';
import { Answering } from './answering.js';
import { byId } from './dom.js';
import { shippedSamples } from './samples.js';
import {
  DEFAULT_NETWORK,
  formOf,
  readSettings,
  requestOf,
  type Settings,
  writeSettings,
} from './settings.js';
import { runner } from './workers.js';
import { showFailure, Workshop } from './workshop.js';

/** Milliseconds that a slider rests before its setting is tried. */
const REST = 120;

export class App {
  private settings = readSettings(location.search);
  private networks: NetworkChoice[] = [];
  /** Whether the runner has both networks. */
  private isReady = false;
  /** Counted up by what ends a sweep over all bits. */
  private sweeps = 0;
  private resting: ReturnType<typeof setTimeout> | undefined;
  private readonly controls = new Controls((change) => this.change(change));
  private readonly gallery = new Gallery((sample) => {
    this.change({ sample: sample.truth === null ? null : sample.name });
    this.answer();
    if (sample.truth === null) this.compareOnSamples();
  });
  private readonly workshop = new Workshop({
    onOpened: (info) => {
      this.controls.show(this.settings, info);
      showNetworkNote({ choice: null, info, onDownload: null });
    },
    onNewWeights: () => {
      this.isReady = true;
      this.answer();
    },
    onEvaluated: (evaluation, { labels }) => this.gallery.mark(evaluation, labels),
    onLayer: (layer) => this.change({ layer }),
  });
  private readonly answering = new Answering({
    onTimes: (times) => this.workshop.setTimes(times),
    onBackendFailure: (which, error) => {
      const again = { label: 'Try again', act: () => this.answer() };
      showError(error, which === 'quantized' ? again : undefined);
    },
  });

  /** The first answer comes first; what else there is to show waits for it. */
  async start(): Promise<void> {
    const { network, wish } = this.settings;
    this.controls.show(this.settings, null);
    byId('sweep').addEventListener('click', () => this.sweep().catch(showFailure));
    const listed = runner.call('networks', null).then((networks) => {
      this.networks = networks;
      this.controls.showNetworks(networks, this.settings.network);
    });
    this.showSamples();
    if (network === DEFAULT_NETWORK && wish.kind === 'file' && wish.index === 0) {
      await runner.call('openShipped', network);
      this.isReady = true;
      await this.answering.ask(this.question()!);
    }
    await listed;
    const { quantized: backend, float: compare } = this.backends;
    this.controls.showBackends(await runner.call('backends', null), { backend, compare });
    if (this.isOffered()) this.offer();
    else this.open();
  }

  private get isShipped(): boolean {
    const { network } = this.settings;
    return network === DEFAULT_NETWORK || this.networks.some(({ id, shipped }) => id === network && shipped);
  }

  private get backends(): Record<Which, string> {
    return { quantized: this.settings.backend ?? 'dsconv-cpu', float: this.settings.compare ?? 'wasm' };
  }

  private change(change: Partial<Settings>): void {
    if ('network' in change || 'wish' in change) this.sweeps++;
    this.settings = { ...this.settings, ...change };
    history.replaceState(null, '', `${location.pathname}${writeSettings(this.settings)}`);
    if ('network' in change) this.changeNetwork();
    else if ('wish' in change) this.rest();
    if ('backend' in change || 'compare' in change) this.answer();
    if ('invert' in change) {
      this.answer();
      this.compareOnSamples();
    }
  }

  private changeNetwork(): void {
    this.isReady = false;
    this.workshop.forget();
    this.answering.forget();
    this.showSamples();
    if (this.isOffered()) this.offer();
    else this.open();
  }

  /** Whether someone has to agree before the network is there: it is large, or its address is missing. */
  private isOffered(): boolean {
    const { network, url } = this.settings;
    return network === 'url' ? url === null : !this.isShipped;
  }

  /** Says what a network would cost before it is downloaded. */
  private offer(): void {
    const { network } = this.settings;
    const choice = this.networks.find(({ id }) => id === network) ?? null;
    if (!choice && network !== 'url') {
      showError(new Error(`the address names a network '${network}', which this page does not have`));
    }
    showNetworkNote({ choice, info: null, onDownload: () => this.open() });
    say(choice ? 'This network has to be downloaded first.' : '');
  }

  private showSamples(): void {
    const samples = shippedSamples(this.settings.network);
    this.gallery.show(samples);
    byId('samples-note').textContent =
      samples.length > 0
        ? 'Test pictures that took no part in training. Under each, what the quantized network says.'
        : 'No pictures come with this network. Bring some: they are the set on which both networks are compared.';
    const first = samples.find(({ name }) => name === this.settings.sample) ?? samples[0];
    if (!this.gallery.current && first) this.gallery.choose(first);
    this.compareOnSamples();
  }

  private open(): void {
    const request = requestOf(this.settings, this.isShipped);
    if (!request) return;
    const { wish, layer } = this.settings;
    this.workshop.open(request, wish, layer, this.isReady).catch((error: unknown) => {
      if (this.isOffered()) this.offer();
      showError(error);
    });
  }

  private rest(): void {
    const { info } = this.workshop;
    this.controls.show(this.settings, info);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.workshop.quantize(this.settings.wish).catch(showFailure);
    }, REST);
  }

  /** Tries all files and all bits at the present block size, one after the other, and returns to where it was. */
  private async sweep(): Promise<void> {
    const before = this.settings.wish;
    const files = this.workshop.info?.files ?? [];
    const { blockSize } = formOf(before, files);
    const tried: Wish[] = [
      ...files.map((_, index) => ({ kind: 'file' as const, index })),
      ...[2, 3, 4, 5, 6, 7, 8].map((bits) => ({ kind: 'round' as const, bits, blockSize })),
    ];
    const mine = ++this.sweeps;
    for (const wish of [...tried, before]) {
      this.settings = { ...this.settings, wish };
      this.controls.show(this.settings, this.workshop.info);
      await this.workshop.quantize(wish);
      if (mine !== this.sweeps) return;
    }
  }

  private question() {
    const sample = this.gallery.current;
    if (!sample || !this.isReady) return null;
    return { sample, invert: this.settings.invert, backends: this.backends };
  }

  private answer(): void {
    const question = this.question();
    if (question) this.answering.ask(question).catch(showError);
  }

  private compareOnSamples(): void {
    this.workshop.setSamples(this.gallery.all, this.settings.invert).catch(showFailure);
  }
}
