/** Callbacks of `model.fit`, as tfjs-vis and TensorBoard writers have them, for networks of the zoo. */
import type { Logs } from '@tensorflow/tfjs-layers';
import type { EpochReport, TrainingProgress } from './train.js';

/** Those callbacks of `model.fit` that have a meaning here; `tfvis.show.fitCallbacks` gives them. */
export interface FitCallbacks {
  /** @param batch step of the epoch, from 0 */
  onBatchEnd?: (batch: number, logs?: Logs) => void | Promise<void>;
  /** @param epoch from 0 */
  onEpochEnd?: (epoch: number, logs?: Logs) => void | Promise<void>;
}

/**
 * Options of `finetune` and `adapt` that call callbacks of `model.fit`: with `loss` and, where there are labels, `acc` of every step; with `loss` and, where there is a
 * `validate`, its result as `val_acc` of every epoch. An error of a callback ends training, one that comes later at the next step.
 */
export function fromCallbacks(callbacks: FitCallbacks): {
  onStep: (progress: TrainingProgress) => void;
  onEpoch: (report: EpochReport) => Promise<void>;
} {
  let epochOfStep = 0;
  let first = 0;
  let late: { error: unknown } | null = null;
  const throwLate = (): void => {
    if (late) throw late.error;
  };
  return {
    onStep({ epoch, step, loss, accuracy }) {
      throwLate();
      if (epoch !== epochOfStep) [epochOfStep, first] = [epoch, step];
      const logs: Logs = accuracy === null ? { loss } : { loss, acc: accuracy };
      Promise.resolve(callbacks.onBatchEnd?.(step - first, logs)).catch((error: unknown) => {
        late = { error };
      });
    },
    async onEpoch({ epoch, loss, score }) {
      throwLate();
      await callbacks.onEpochEnd?.(epoch - 1, score === null ? { loss } : { loss, val_acc: score });
    },
  };
}
