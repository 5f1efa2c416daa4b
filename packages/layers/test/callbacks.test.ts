/** Callbacks of `model.fit` with networks of the zoo. */
import { expect, test } from 'vitest';
import { fromCallbacks, type TrainingProgress } from '../src/index.js';

const progress = (epoch: number, step: number, accuracy: number | null): TrainingProgress => ({
  epoch,
  step,
  steps: 4,
  loss: step / 2,
  accuracy,
  rate: 1e-3,
  picturesPerSecond: 1,
  secondsLeft: 0,
});

test('steps count within their epoch, and scores have the names of Keras', async () => {
  const calls: unknown[] = [];
  const { onStep, onEpoch } = fromCallbacks({
    onBatchEnd: (batch, logs) => void calls.push(['batch', batch, logs]),
    onEpochEnd: (epoch, logs) => void calls.push(['epoch', epoch, logs]),
  });
  onStep(progress(1, 1, 0.5));
  onStep(progress(1, 2, 0.75));
  await onEpoch({ epoch: 1, loss: 0.75, score: 0.6, isBest: true });
  onStep(progress(2, 3, null));
  await onEpoch({ epoch: 2, loss: 1.5, score: null, isBest: true });
  expect(calls).toEqual([
    ['batch', 0, { loss: 0.5, acc: 0.5 }],
    ['batch', 1, { loss: 1, acc: 0.75 }],
    ['epoch', 0, { loss: 0.75, val_acc: 0.6 }],
    ['batch', 0, { loss: 1.5 }],
    ['epoch', 1, { loss: 1.5 }],
  ]);
});

test('an error of a callback ends training, a late one at the next step', async () => {
  const now = fromCallbacks({
    onBatchEnd: () => {
      throw new Error('at once');
    },
  });
  expect(() => now.onStep(progress(1, 1, null))).toThrow('at once');
  const later = fromCallbacks({ onBatchEnd: () => Promise.reject(new Error('late')) });
  later.onStep(progress(1, 1, null));
  await Promise.resolve();
  await Promise.resolve();
  expect(() => later.onStep(progress(1, 2, null))).toThrow('late');
  const epochs = fromCallbacks({ onEpochEnd: () => Promise.reject(new Error('epoch')) });
  await expect(epochs.onEpoch({ epoch: 1, loss: 1, score: null, isBest: false })).rejects.toThrow('epoch');
});
