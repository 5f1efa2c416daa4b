/** From a picture to both networks' answers and times. */
import { clearAnswers, inWords, showRun, showTimes, showWaiting } from '../ui/answers.js';
import { hideError, say, showError, startProgress } from '../ui/messages.js';
import type { Run, Timing, Which } from '../workers/api.js';
import type { Sample } from './samples.js';
import { runner } from './workers.js';

/** Milliseconds after which someone should be told that something goes on. */
const SLOW = 300;

const BOTH = ['quantized', 'float'] as const;

export interface Question {
  sample: Sample;
  invert: boolean;
  backends: Readonly<Record<Which, string>>;
}

export interface AnswerEvents {
  /** Both are timed. */
  onTimes(times: Readonly<Record<Which, Timing | null>>): void;
  /** A backend failed; `which` of the networks it ran. */
  onBackendFailure(which: Which, error: unknown): void;
}

/** A question while it is the latest one. */
interface Asked extends Question {
  isOld(): boolean;
}

type Runs = Partial<Record<Which, Run>>;

export class Answering {
  /** Counted up by every question; whoever finds another number gives up. */
  private count = 0;

  constructor(private readonly events: AnswerEvents) {}

  /**
   * Asks both networks, then times them. A later question makes this one end early.
   *
   * @returns when the quantized network's answer is there; the rest goes on
   */
  async ask(question: Question): Promise<void> {
    const mine = ++this.count;
    const asked: Asked = { ...question, isOld: () => mine !== this.count };
    for (const which of BOTH) showWaiting(which);
    const progress = startProgress();
    // Most answers are there before a bar could be seen.
    const slow = setTimeout(() => {
      progress.tell({ task: 'Preparing the backends', done: 0, total: null });
    }, SLOW);
    const end = (): void => {
      clearTimeout(slow);
      progress.end();
    };
    if (!(await this.givePicture(asked))) return end();
    const quantized = await this.run('quantized', asked);
    this.run('float', asked)
      .finally(end)
      .then((float) => this.timeAll({ quantized, float }, asked))
      .catch(showError);
  }

  /** Takes answers away that are about a network that is gone. */
  forget(): void {
    this.count++;
    for (const which of BOTH) clearAnswers(which);
    say('');
  }

  /** @returns whether it is a picture, and still the one that is asked about */
  private async givePicture({ sample, invert, isOld }: Asked): Promise<boolean> {
    try {
      await runner.call('picture', { name: sample.title, blob: await sample.blob(), invert });
    } catch (error) {
      if (!isOld()) this.refuse(error);
      return false;
    }
    return !isOld();
  }

  private async run(which: Which, { backends, isOld }: Asked): Promise<Run | undefined> {
    if (isOld()) return undefined;
    try {
      const run = await runner.call('run', { which, backend: backends[which] });
      if (isOld()) return undefined;
      showRun(which, run);
      if (which === 'quantized') {
        hideError();
        say(`DSConv: ${inWords(run)}`);
      }
      return run;
    } catch (error) {
      if (isOld()) return undefined;
      clearAnswers(which);
      this.events.onBackendFailure(which, error);
      return undefined;
    }
  }

  private async timeAll(runs: Runs, { backends, isOld }: Asked): Promise<void> {
    const times: Record<Which, Timing | null> = { quantized: null, float: null };
    for (const which of BOTH) {
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

  private refuse(error: unknown): void {
    for (const which of BOTH) clearAnswers(which);
    say('');
    showError(error);
  }
}
