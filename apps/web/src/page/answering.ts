/** From a picture to both networks' answers and times. */
import { clearAnswers, inWords, showRun, showTimes, showWaiting } from '../ui/answers.js';
import { hideError, say, showError, startProgress } from '../ui/messages.js';
import type { Run, Timing, Which } from '../workers/api.js';
import type { Sample } from './samples.js';
import { runner } from './workers.js';

/** Milliseconds after which someone should be told that something goes on. */
const SLOW = 300;

export interface Question {
  sample: Sample;
  invert: boolean;
  backends: Readonly<Record<Which, string>>;
}

export interface AnswerEvents {
  /** Both are timed. */
  onTimes(times: Readonly<Record<Which, Timing | null>>): void;
  /** It turned out to be no picture. */
  onNoPicture(sample: Sample): void;
  /** A backend failed; `which` of the networks it ran. */
  onBackendFailure(which: Which, error: unknown): void;
}

type Runs = Partial<Record<Which, Run>>;

export class Answering {
  /** Counted up by every question; whoever finds another number gives up. */
  private count = 0;
  private shown: Sample | null = null;

  constructor(private readonly events: AnswerEvents) {}

  /** Asks both networks, quantized first. A later question makes this one end early. */
  async ask({ sample, invert, backends }: Question): Promise<void> {
    const mine = ++this.count;
    const isOld = (): boolean => mine !== this.count;
    const started = performance.now();
    const progress = startProgress();
    // Most answers are there before a bar could be seen.
    const slow = setTimeout(() => {
      progress.tell({ task: 'Preparing the backends', done: 0, total: null });
    }, SLOW);
    let runs: Runs;
    try {
      runs = await this.askBoth({ sample, invert, backends }, isOld, started);
    } finally {
      clearTimeout(slow);
      progress.end();
    }
    await this.timeAll(runs, backends, isOld);
  }

  /** Takes answers away that are about a network that is gone. */
  forget(): void {
    this.count++;
    for (const which of ['quantized', 'float'] as const) clearAnswers(which);
    say('');
  }

  private async askBoth(
    { sample, invert, backends }: Question,
    isOld: () => boolean,
    started: number,
  ): Promise<Runs> {
    for (const which of ['quantized', 'float'] as const) showWaiting(which);
    try {
      await runner.call('picture', { name: sample.title, blob: await sample.blob(), invert });
    } catch (error) {
      if (!isOld()) this.refuse(sample, error);
      return {};
    }
    this.shown = sample;
    const runs: Runs = {};
    for (const which of ['quantized', 'float'] as const) {
      if (isOld()) return runs;
      try {
        const run = await runner.call('run', { which, backend: backends[which] });
        if (isOld()) return runs;
        runs[which] = run;
        showRun(which, run);
        if (which === 'quantized') {
          hideError();
          say(`DSConv: ${inWords(run)}`);
          performance.measure('answer', { start: started });
        }
      } catch (error) {
        if (isOld()) return runs;
        clearAnswers(which);
        this.events.onBackendFailure(which, error);
      }
    }
    return runs;
  }

  private async timeAll(runs: Runs, backends: Question['backends'], isOld: () => boolean): Promise<void> {
    const times: Record<Which, Timing | null> = { quantized: null, float: null };
    for (const which of ['quantized', 'float'] as const) {
      const run = runs[which];
      if (!run || isOld()) continue;
      try {
        times[which] = await runner.call('time', { which, backend: backends[which] });
      } catch (error) {
        if (!isOld()) this.events.onBackendFailure(which, error);
        return;
      }
      if (!isOld()) showTimes(which, run, times[which]);
    }
    if (!isOld()) this.events.onTimes(times);
  }

  private refuse(sample: Sample, error: unknown): void {
    for (const which of ['quantized', 'float'] as const) clearAnswers(which);
    say('');
    showError(error);
    if (sample !== this.shown) this.events.onNoPicture(sample);
  }
}
