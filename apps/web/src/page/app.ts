/** What happens when: settings change, networks open, pictures are chosen. */
import { Controls } from '../ui/controls.js';
import { Gallery } from '../ui/gallery.js';
import { LayerChart } from '../ui/layer-chart.js';
import { LayerPanel } from '../ui/layer-panel.js';
import { say, showError, startProgress } from '../ui/messages.js';
import { showNetworkNote } from '../ui/network-note.js';
import { type Facts, showNumbers } from '../ui/numbers.js';
import { showTrail, type Try } from '../ui/trail.js';
import type { BackendChoice, NetworkChoice, Quantized, Which } from '../workers/api.js';
import { Answering } from './answering.js';
import { byId } from './dom.js';
import { shippedSamples } from './samples.js';
import { DEFAULT_NETWORK, readSettings, requestOf, type Settings, writeSettings } from './settings.js';
import { runner, studio } from './workers.js';

/** Milliseconds that a slider rests before its setting is tried. */
const REST = 120;

export class App {
  private settings = readSettings(location.search);
  private networks: NetworkChoice[] = [];
  private facts: Facts = noFacts();
  private tries: Try[] = [];
  /** Whether the runner has both networks. */
  private isReady = false;
  private resting: ReturnType<typeof setTimeout> | undefined;
  private evaluations = 0;
  private readonly controls = new Controls((change) => this.change(change));
  private readonly layerChart = new LayerChart((layer) => this.change({ layer }));
  private readonly layerPanel = new LayerPanel();
  private readonly gallery = new Gallery((sample) => {
    this.change({ sample: sample.truth === null ? null : sample.name });
    this.answer();
    if (sample.truth === null) this.evaluate();
  });
  private readonly answering = new Answering({
    onTimes: (times) => {
      this.facts.times = times;
      showNumbers(this.facts);
    },
    onNoPicture: (sample) => this.gallery.remove(sample),
    onBackendFailure: (which, error) => this.backendFailed(which, error),
  });

  /** The first answer comes first; what else there is to show waits for it. */
  async start(): Promise<void> {
    this.controls.show(this.settings, null);
    showNumbers(this.facts);
    showTrail([]);
    const listed = runner.call('networks', null).then((networks) => {
      this.networks = networks;
      this.controls.showNetworks(networks, this.settings.network);
    });
    const { network, quantization } = this.settings;
    this.showSamples();
    if (network === DEFAULT_NETWORK && quantization === null) {
      await runner.call('openShipped', network);
      this.isReady = true;
      await this.answer();
    }
    await listed;
    this.showBackends(await runner.call('backends', null));
    if (!this.isShipped() && network !== 'url') this.offer();
    else await this.open();
  }

  private isShipped(): boolean {
    const { network } = this.settings;
    return network === DEFAULT_NETWORK || this.networks.some(({ id, shipped }) => id === network && shipped);
  }

  private get backends(): Record<Which, string> {
    return { quantized: this.settings.backend ?? 'dsconv-cpu', float: this.settings.compare ?? 'wasm' };
  }

  private change(change: Partial<Settings>): void {
    const before = this.settings;
    this.settings = { ...before, ...change };
    history.replaceState(null, '', `${location.pathname}${writeSettings(this.settings)}`);
    if ('network' in change) this.changeNetwork();
    else if ('quantization' in change) this.rest();
    if ('layer' in change && change.layer) this.showLayer();
    if ('backend' in change || 'compare' in change) this.answer();
    if ('invert' in change) {
      this.answer();
      this.evaluate();
    }
  }

  private changeNetwork(): void {
    this.isReady = false;
    this.facts = noFacts();
    this.tries = [];
    showNumbers(this.facts);
    showTrail([]);
    this.showSamples();
    const { network, url } = this.settings;
    if (network === 'url' ? url === null : !this.isShipped()) this.offer();
    else this.open().catch(showError);
  }

  /** Says what a network would cost before it is downloaded. */
  private offer(): void {
    const choice = this.networks.find(({ id }) => id === this.settings.network) ?? null;
    showNetworkNote({ choice, info: null, onDownload: () => this.open().catch(showError) });
    say(choice ? `${choice.title} is not here yet.` : '');
  }

  private showSamples(): void {
    const samples = shippedSamples(this.settings.network);
    this.gallery.show(samples);
    const first = samples.find(({ name }) => name === this.settings.sample) ?? samples[0];
    byId('samples-note').textContent =
      samples.length > 0
        ? 'Test pictures that took no part in training. Under each, what the quantized network says.'
        : 'No pictures come with this network. Bring some: they are the set on which both networks are compared.';
    if (!this.gallery.current && first) this.gallery.choose(first);
  }

  private showBackends(choices: readonly BackendChoice[]): void {
    const { quantized, float } = this.backends;
    this.controls.showBackends(choices, { backend: quantized, compare: float });
  }

  private async open(): Promise<void> {
    const request = requestOf(this.settings, this.isShipped());
    if (!request) return;
    const progress = startProgress();
    try {
      const info = await studio().call('open', request, { tell: progress.tell });
      this.facts.info = info;
      this.controls.show(this.settings, info);
      showNetworkNote({ choice: null, info, onDownload: null });
      if (!this.isReady || info.floatOrigin === 'weights') {
        const file = await studio().call('floatFile', null);
        const { labels } = info;
        await runner.call('setFile', { which: 'float', file, labels }, { transfer: [file.buffer] });
      }
      await this.quantize();
    } catch (error) {
      if (isSuperseded(error)) return;
      showError(error);
      showNetworkNote({ choice: null, info: this.facts.info, onDownload: null });
    } finally {
      progress.end();
    }
  }

  private rest(): void {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.facts.info) this.quantize().catch(showError);
    }, REST);
  }

  private async quantize(): Promise<void> {
    const { info } = this.facts;
    if (!info) return;
    const wish = this.settings.quantization;
    this.controls.show(this.settings, info);
    const progress = startProgress();
    try {
      const made = await studio().call('quantize', wish, { tell: progress.tell });
      await this.takeQuantized(made, wish === null && info.stored !== null);
    } catch (error) {
      if (!isSuperseded(error)) throw error;
    } finally {
      progress.end();
    }
  }

  private async takeQuantized(made: Quantized, isStored: boolean): Promise<void> {
    const { file, ...quantized } = made;
    const { labels } = this.facts.info!;
    const isKnown = this.isReady && isStored && this.facts.quantized === null;
    this.facts = { ...this.facts, quantized: { ...quantized, file: new Uint8Array() }, evaluation: null };
    showNumbers(this.facts);
    this.layerChart.show(quantized.layers, this.layerName());
    if (!isKnown) {
      await runner.call('setFile', { which: 'quantized', file, labels }, { transfer: [file.buffer] });
      this.isReady = true;
    }
    await Promise.all([isKnown ? null : this.answer(), this.evaluate(), this.showLayer()]);
  }

  private layerName(): string {
    const layers = this.facts.quantized?.layers ?? [];
    const { layer } = this.settings;
    // Not the first, which is quantized by channel and less.
    return layers.some(({ name }) => name === layer)
      ? layer!
      : (layers[Math.min(8, layers.length - 1)]?.name ?? '');
  }

  private async showLayer(): Promise<void> {
    const name = this.layerName();
    const row = this.facts.quantized?.layers.find((layer) => layer.name === name);
    if (!row) return;
    this.layerChart.choose(name);
    try {
      this.layerPanel.show(await studio().call('layer', name), row);
    } catch (error) {
      if (!isSuperseded(error)) showError(error);
    }
  }

  private async answer(): Promise<void> {
    const sample = this.gallery.current;
    if (!sample || !this.isReady) return;
    const { invert } = this.settings;
    await this.answering.ask({ sample, invert, backends: this.backends });
  }

  private async evaluate(): Promise<void> {
    const { info, quantized } = this.facts;
    if (!info || !quantized) return;
    const mine = ++this.evaluations;
    const samples = this.gallery.all;
    const { invert } = this.settings;
    try {
      const pictures = await Promise.all(
        samples.map(async ({ name, truth, blob }) => {
          return { name, truth, blob: await blob(), invert: invert && truth === null };
        }),
      );
      const evaluation = await studio().call('evaluate', pictures);
      if (mine !== this.evaluations || this.facts.quantized !== quantized) return;
      this.facts = { ...this.facts, evaluation, truths: samples.map(({ truth }) => truth) };
      showNumbers(this.facts);
      this.gallery.mark(evaluation, info.labels);
      if (samples.length > 0) this.addTry(evaluation.divergence);
    } catch (error) {
      if (!isSuperseded(error)) showError(error);
    }
  }

  private addTry(divergence: number): void {
    const { quantization } = this.settings;
    const { bytes } = this.facts.quantized!;
    const title = quantization
      ? `${quantization.bits} bits, blocks of ${quantization.blockSize}`
      : 'the file as it came';
    this.tries = [...this.tries.filter((one) => one.title !== title), { title, bytes, divergence }];
    showTrail(this.tries);
  }

  private backendFailed(which: Which, error: unknown): void {
    const again = { label: 'Try again', act: () => void this.answer() };
    showError(error, which === 'quantized' ? again : undefined);
  }
}

function noFacts(): Facts {
  return {
    info: null,
    quantized: null,
    evaluation: null,
    truths: [],
    times: { quantized: null, float: null },
  };
}

const isSuperseded = (error: unknown): boolean => (error as { code?: unknown }).code === 'SUPERSEDED';
