import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ArrayPool } from '../src/native/array-pool.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('an array comes back for its own length and no other', () => {
  const pool = new ArrayPool(2 ** 29);
  const array = pool.take(2000);
  pool.give(array);
  expect(pool.freeBytes).toBe(8000);
  expect(pool.take(1999)).toHaveLength(1999);
  expect(pool.take(2000)).toBe(array);
  expect(pool.freeBytes).toBe(0);
  expect(pool.take(2000)).not.toBe(array);
});

test('short arrays are not kept', () => {
  const pool = new ArrayPool(2 ** 29);
  pool.give(pool.take(100));
  expect(pool.freeBytes).toBe(0);
});

test('no more is kept than the limit, and lengths not asked for go first', () => {
  const pool = new ArrayPool(50_000);
  const [old, first, second] = [pool.take(2000), pool.take(4000), pool.take(4000)];
  pool.give(old);
  pool.give(first);
  pool.give(second);
  expect(pool.freeBytes).toBe(40_000);
  pool.give(new Float32Array(3000));
  expect(pool.freeBytes).toBe(44_000);
  expect(pool.take(2000)).not.toBe(old);
  expect([first, second]).toContain(pool.take(4000));
  pool.give(new Float32Array(20_000));
  expect(pool.freeBytes).toBeLessThanOrEqual(50_000);
});

test('all is given back when nobody asks for a while, and not before', () => {
  const pool = new ArrayPool(2 ** 29);
  pool.give(pool.take(5000));
  for (let n = 0; n < 5; n++) {
    vi.advanceTimersByTime(900);
    pool.give(pool.take(5000));
  }
  expect(pool.freeBytes).toBe(20_000);
  vi.advanceTimersByTime(2500);
  expect(pool.freeBytes).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});
