/** Places of a plan: values that are needed at the same time do not overlap, others share memory, and scratch is found again. */
import { expect, test } from 'vitest';
import type { CudaDevice } from '../src/device/device.js';
import { type Place, PlanMemory } from '../src/plan/memory.js';
import { Recorder, Rehearsal } from '../src/plan/recorder.js';

const device = {} as CudaDevice;

/** Runs steps without doing anything, and lays out what they asked for. */
function rehearse(memory: PlanMemory, steps: ((launcher: Rehearsal) => void)[]): Rehearsal {
  const rehearsal = new Rehearsal(device, 'mma', memory);
  steps.forEach((step, n) => {
    memory.now = n;
    step(rehearsal);
  });
  memory.layOut();
  return rehearsal;
}

const overlap = (a: Place, b: Place) => a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;

test('a chain of values needs room for two of them', () => {
  const memory = new PlanMemory();
  const values = [1000, 1000, 1000, 1000].map((bytes) => memory.place(bytes));
  rehearse(
    memory,
    [0, 1, 2].map((n) => () => {
      memory.at(values[n]!);
      memory.at(values[n + 1]!);
    }),
  );
  expect(memory.bytes).toBe(2048);
  expect(memory.liveBytes).toBe(2048);
  for (const n of [0, 1, 2]) expect(overlap(values[n]!, values[n + 1]!)).toBe(false);
});

test('a value that is read late, or never ends, keeps its room', () => {
  const memory = new PlanMemory();
  const [input, a, b, output] = [1, 1, 1, 1].map((bytes) => memory.place(bytes)) as [
    Place,
    Place,
    Place,
    Place,
  ];
  memory.need(input, -1);
  memory.need(output, 3);
  rehearse(memory, [
    () => [input, a].map((place) => memory.at(place)),
    () => [a, output].map((place) => memory.at(place)),
    () => [input, b].map((place) => memory.at(place)),
  ]);
  expect(overlap(input, a)).toBe(false);
  expect(overlap(input, output)).toBe(false);
  expect(overlap(output, b)).toBe(false);
  expect(overlap(a, b)).toBe(true);
});

test('scratch lies beside what its step needs, in the order in which it was asked for', () => {
  const memory = new PlanMemory();
  const x = memory.place(512);
  const step = (launcher: Pick<Rehearsal, 'temporary'>) =>
    launcher.temporary(300, (outer) => launcher.temporary(5000, (inner) => [memory.at(x), outer, inner]));
  const rehearsal = rehearse(memory, [step, step]);
  memory.base = 2 ** 40;
  const recorder = new Recorder(rehearsal, memory, 1);
  const found = [step(recorder), step(recorder)];
  for (const [at, outer, inner] of found as [number, number, number][]) {
    const pieces = [
      { offset: at, bytes: 512 },
      { offset: outer, bytes: 300 },
      { offset: inner, bytes: 5000 },
    ] as Place[];
    for (const piece of pieces) {
      expect(piece.offset % 256).toBe(0);
      expect(piece.offset).toBeGreaterThanOrEqual(memory.base);
      expect(piece.offset + piece.bytes).toBeLessThanOrEqual(memory.base + memory.bytes);
    }
    expect(
      overlap(pieces[0]!, pieces[1]!) || overlap(pieces[1]!, pieces[2]!) || overlap(pieces[0]!, pieces[2]!),
    ).toBe(false);
  }
  // The second step's scratch lies where the first one's was.
  expect(memory.bytes).toBe(512 + 512 + 5120);
  expect(() => recorder.temporary(300, () => 0)).toThrow(/scratch of 300 bytes is asked for/);
});
