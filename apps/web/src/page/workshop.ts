/** What is made of a network: opened, quantized, compared on the samples, looked at. */
import { LayerChart } from '../ui/layer-chart.js';
import { LayerPanel } from '../ui/layer-panel.js';
import { showError, startProgress } from '../ui/messages.js';
import { type Facts, showNumbers } from '../ui/numbers.js';
import { showTrail, type Try } from '../ui/trail.js';
import type {
  Evaluation,
  NetworkInfo,
  NetworkRequest,
  Quantized,
  Timing,
  Which,
  Wish,
} from '../workers/api.js';
import type { Tell } from '../workers/channel.js';
import type { Sample } from './samples.js';
import { runner, studio } from './workers.js';

export interface WorkshopEvents {
  onOpened(info: NetworkInfo): void;
  /** The runner has other weights now. */
  onNewWeights(): void;
  onEvaluated(evaluation: Evaluation, info: NetworkInfo): void;
  onLayer(name: string): void;
}

export class Workshop {
  private facts: Facts = noFacts();
  private tries: Try[] = [];
  private wish: Wish = { kind: 'file', index: 0 };
  private layer: string | null = null;
  private samples: readonly Sample[] = [];
  private invert = false;
  private evaluations = 0;
  private readonly chart = new LayerChart((name) => {
    this.layer = name;
    this.events.onLayer(name);
    this.showLayer().catch(showFailure);
  });
  private readonly panel = new LayerPanel();

  constructor(private readonly events: WorkshopEvents) {
    this.forget();
  }

  get info(): NetworkInfo | null {
    return this.facts.info;
  }

  /** Nothing is known, as before a network is opened. */
  forget(): void {
    this.facts = noFacts();
    this.tries = [];
    showNumbers(this.facts);
    showTrail([]);
  }

  /**
   * Opens a network and quantizes it.
   *
   * @param runnerHas whether the runner has the shipped file already
   */
  async open(request: NetworkRequest, wish: Wish, layer: string | null, runnerHas: boolean): Promise<void> {
    this.layer = layer;
    await underProgress(async (tell) => {
      const info = await studio().call('open', request, { tell });
      this.forget();
      this.facts.info = info;
      this.events.onOpened(info);
      if (!runnerHas) await this.give('float', await studio().call('floatFile', null));
      await this.make(wish, tell, runnerHas && wish.kind === 'file' && wish.index === 0);
    });
  }

  /** Quantizes anew. A later call ends the ones before it. */
  async quantize(wish: Wish): Promise<void> {
    if (this.facts.info) await underProgress((tell) => this.make(wish, tell, false));
  }

  setTimes(times: Readonly<Record<Which, Timing | null>>): void {
    this.facts = { ...this.facts, times };
    showNumbers(this.facts);
  }

  /** @param invert takes dark for light in pictures that were brought */
  async setSamples(samples: readonly Sample[], invert: boolean): Promise<void> {
    this.samples = samples;
    this.invert = invert;
    await this.evaluate();
  }

  private async make(wish: Wish, tell: Tell, runnerHas: boolean): Promise<void> {
    const { file, ...quantized } = await studio().call('quantize', wish, { tell });
    this.wish = wish;
    this.facts = { ...this.facts, quantized, isStale: true };
    showNumbers(this.facts);
    this.chart.show(quantized.layers, this.layerName(quantized));
    if (!runnerHas) {
      await this.give('quantized', file);
      this.events.onNewWeights();
    }
    await Promise.all([this.evaluate(), this.showLayer()]);
  }

  private async give(which: Which, file: Uint8Array<ArrayBuffer>): Promise<void> {
    const { labels } = this.facts.info!;
    await runner.call('setFile', { which, file, labels }, { transfer: [file.buffer] });
  }

  private async evaluate(): Promise<void> {
    const { info, quantized } = this.facts;
    if (!info || !quantized) return;
    const mine = ++this.evaluations;
    const { samples, invert } = this;
    const pictures = await Promise.all(
      samples.map(async ({ name, truth, blob }) => {
        return { name, truth, blob: await blob(), invert: invert && truth === null };
      }),
    );
    const evaluation = await studio().call('evaluate', pictures);
    if (mine !== this.evaluations || this.facts.quantized !== quantized) return;
    this.facts = { ...this.facts, evaluation, isStale: false, truths: samples.map(({ truth }) => truth) };
    showNumbers(this.facts);
    this.events.onEvaluated(evaluation, info);
    if (samples.length > 0) this.addTry(quantized, evaluation);
  }

  private addTry({ bytes, form }: Omit<Quantized, 'file'>, { divergence }: Evaluation): void {
    const kind = this.wish.kind === 'file' && this.facts.info!.files.length > 0 ? 'file' : 'round';
    const title = `${form.bits} bits, blocks of ${form.blockSize}${kind === 'file' ? ', as the file came' : ''}`;
    const others = this.tries.filter((one) => one.title !== title);
    this.tries = [...others, { title, kind, bytes, divergence }];
    showTrail(this.tries, this.facts.info!.floatBytes);
  }

  /** Not the first by default: it is quantized by channel, and less. */
  private layerName({ layers }: Pick<Quantized, 'layers'>): string {
    if (this.layer !== null && layers.some(({ name }) => name === this.layer)) return this.layer;
    return layers[Math.min(8, layers.length - 1)]!.name;
  }

  private async showLayer(): Promise<void> {
    const { quantized } = this.facts;
    if (!quantized) return;
    const name = this.layerName(quantized);
    const row = quantized.layers.find((layer) => layer.name === name)!;
    this.chart.choose(name);
    this.panel.show(await studio().call('layer', name), row);
  }
}

/** Shows how far it is. */
async function underProgress(work: (tell: Tell) => Promise<void>): Promise<void> {
  const progress = startProgress();
  try {
    await work(progress.tell);
  } catch (error) {
    if (!isSuperseded(error)) throw error;
  } finally {
    progress.end();
  }
}

function noFacts(): Facts {
  return {
    info: null,
    quantized: null,
    evaluation: null,
    isStale: false,
    truths: [],
    times: { quantized: null, float: null },
  };
}

/** A newer setting made the work of an older one useless: no failure. */
export const isSuperseded = (error: unknown): boolean => (error as { code?: unknown }).code === 'SUPERSEDED';

export function showFailure(error: unknown): void {
  if (!isSuperseded(error)) showError(error);
}
