/** Every entry point of the addon with damaged arguments: a result or one JavaScript exception with a clear sentence, nothing written beside outputs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DSConvNative, NativePlan, PackedFilter } from '../native/interface.js';
import { loadNative } from '../src/native/load.js';
import { floats, packing, planDescription, record, type ValidCall, validCalls } from './native-calls.js';

const found = await loadNative().catch((error: Error) => error);
const RUNS = Number(process.env.DSCONV_FUZZ_RUNS ?? 10_000);
const CODES =
  /^(INVALID_ARGUMENT|INVALID_HANDLE|DISPOSED|OUT_OF_RANGE|UNSUPPORTED|OUT_OF_MEMORY|RUN_FAILED|CLOSED)$/;
const GUARD = 32;
const PATTERN = 123456.5;

function detached<T extends Float32Array | Int32Array | Int8Array>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

/** Numbers and things that no size, index or code can be, and some that can. */
const numbers = fc.oneof(
  fc.constantFrom(
    -1,
    0,
    1,
    2,
    3,
    7,
    16,
    2 ** 16,
    2 ** 24,
    2 ** 28,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 33,
    2 ** 53,
  ),
  fc.constantFrom(-(2 ** 31), 0.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 1e300),
  fc.integer({ min: -4, max: 80 }),
);
const others: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
  undefined,
  null,
  '24',
  true,
  {},
  [],
  [0],
  Symbol('s'),
  3n,
  () => 1,
);
const arrays: fc.Arbitrary<unknown> = fc.oneof(
  fc.nat(1000).map((n) => new Float32Array(n)),
  fc.nat(1000).map((n) => new Float32Array(new SharedArrayBuffer(4 * n))),
  fc.nat(1000).map((n) => detached(new Float32Array(n))),
  fc.nat(64).map((n) => new Int32Array(n)),
  fc.nat(64).map((n) => detached(new Int32Array(n))),
  fc.nat(64).map((n) => new Int8Array(n)),
  fc.constantFrom(new Float64Array(480), new DataView(new ArrayBuffer(64)), new ArrayBuffer(64)),
  fc.constantFrom(floats(480), floats(8640)),
);

/** What a failed call must look like. */
function expectClear(error: unknown): void {
  expect(error).toBeInstanceOf(Error);
  const { message, code } = error as Error & { code?: string };
  expect(code, message).toMatch(CODES);
  expect(message.length).toBeGreaterThan(8);
  expect(message).not.toContain('\n');
}

describe.skipIf(found instanceof Error)('fuzzing the addon', () => {
  const native = found as DSConvNative;
  const call = (name: string, args: unknown[]) =>
    (native as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!(...args);
  const calls = validCalls(native);
  const disposed = native.packDSConv2d(packing(24, 40));
  disposed.dispose();
  const plan = native.createPlan(planDescription(native));
  const handles: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
    disposed,
    plan,
    native.packDSConv2d(packing(24, 40)),
    native.packDSConv2d({ ...packing(3, 7), block: 2, scales: floats(9 * 2 * 7) }),
    native.packConv2d(floats(24), 1, 24, 1, 1),
    Object.create(disposed),
    new Proxy(native.packDSConv2d(packing(24, 40)), {}),
  );
  const hostile = fc.oneof({ arbitrary: numbers, weight: 3 }, others, arrays, handles);

  test('every entry point is in the list of calls, and its call works', () => {
    const plain = /^(setIsa|setThreads|getThreads|selfTest|measurePeaks|trim)$/;
    const names = Object.keys(native).filter(
      (name) => typeof (native as never)[name] === 'function' && !plain.test(name),
    );
    expect(new Set(calls.map(({ name }) => name))).toEqual(new Set(names));
    for (const { name, args } of calls) call(name, args);
  });

  /** The call's arguments, outputs in the middle of guard words. */
  function guarded({ args, outputs }: ValidCall) {
    const borders: Float32Array[] = [];
    const copies = args.map((arg, n) => {
      if (!outputs.includes(n)) return arg instanceof Int32Array ? arg.slice() : arg;
      const length = (arg as Float32Array).length;
      const whole = new Float32Array(length + 2 * GUARD).fill(PATTERN);
      borders.push(whole.subarray(0, GUARD), whole.subarray(GUARD + length));
      return whole.subarray(GUARD, GUARD + length);
    });
    return { copies, borders };
  }

  test('damaged arguments', () => {
    const damage = fc.tuple(fc.nat(14), hostile);
    const words = fc.array(fc.tuple(fc.nat(31), fc.oneof(fc.integer(), fc.integer({ min: -3, max: 40 }))), {
      maxLength: 3,
    });
    const property = fc.property(
      fc.constantFrom(...calls),
      fc.array(damage, { minLength: 0, maxLength: 3 }),
      words,
      fc.boolean(),
      (valid, changes, changedWords, cut) => {
        const { copies, borders } = guarded(valid);
        if (copies[0] instanceof Int32Array) for (const [at, v] of changedWords) copies[0][at] = v;
        for (const [at, value] of changes) if (at < copies.length) copies[at] = value;
        if (cut) copies.pop();
        try {
          const result = call(valid.name, copies);
          (result as PackedFilter | NativePlan | undefined)?.dispose();
        } catch (error) {
          expectClear(error);
        }
        for (const border of borders) expect(border.every((v) => v === PATTERN)).toBe(true);
      },
    );
    fc.assert(property, { numRuns: RUNS });
  });

  test('damaged objects: filters and windows', () => {
    const objects = calls.filter(
      ({ args }) => args.some(isPlain) && !(isPlain(args[0]) && 'steps' in (args[0] as object)),
    );
    expect(objects.length).toBe(6);
    fc.assert(
      fc.property(
        fc.constantFrom(...objects),
        fc.array(fc.tuple(fc.nat(20), hostile), { minLength: 1, maxLength: 3 }),
        (valid, changes) => {
          const args = valid.args.map((arg) => (isPlain(arg) ? damagedCopy(arg as object, changes) : arg));
          try {
            (call(valid.name, args) as PackedFilter | undefined)?.dispose();
          } catch (error) {
            expectClear(error);
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('damaged plans: what is made can be run', async () => {
    const place = fc.tuple(fc.constantFrom('buffers', 'steps'), fc.nat(7), fc.nat(12), hostile);
    const lists = fc.option(fc.tuple(fc.constantFrom('inputs', 'outputs', 'buffers', 'steps'), hostile));
    const property = fc.asyncProperty(
      fc.array(place, { minLength: 0, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(31), fc.integer({ min: -3, max: 60 })), { maxLength: 2 }),
      lists,
      async (changes, words, list) => {
        const description = planDescription(native) as unknown as Record<string, unknown>;
        const step = (description.steps as { call: Int32Array }[])[1]!;
        for (const [at, v] of words) step.call[at] = v;
        for (const [part, index, key, value] of changes) {
          const items = description[part] as object[];
          if (index < items.length) items[index] = damagedCopy(items[index]!, [[key, value]]);
        }
        if (list) description[list[0]] = list[1];
        let made: NativePlan;
        try {
          made = native.createPlan(description as never);
        } catch (error) {
          return expectClear(error);
        }
        try {
          // The number and lengths of its arrays are known only where the buffers were left alone.
          if (made.arenaBytes < 2 ** 26) {
            const lengths = (ids: unknown) =>
              (Array.isArray(ids) ? ids : [ids]).map((id) => new Float32Array(lengthOf(description, id)));
            await made.run(lengths(description.inputs), lengths(description.outputs));
          }
        } catch (error) {
          expectClear(error);
        } finally {
          made.dispose();
        }
      },
    );
    await fc.assert(property, { numRuns: RUNS / 4 });
  });

  test('arrays that are detached by getters while arguments are read', async () => {
    const filter = packing(24, 40);
    const treacherous = {
      ...filter,
      get shiftBias() {
        detached(filter.q);
        return null;
      },
    };
    expect(() => native.packDSConv2d(treacherous)).toThrow(/q has 0 elements/);
    const made = native.createPlan(planDescription(native));
    const x = floats(480);
    const outputs = [new Float32Array(7), new Float32Array(80)];
    Object.defineProperty(outputs, 1, {
      get: () => {
        if (x.length > 0) detached(x);
        return new Float32Array(80);
      },
    });
    expect(() => made.run([x], outputs)).toThrow(/inputs has 0 elements/);
    expect(() => made.runSync([x], outputs)).toThrow(/inputs has 0 elements/);
    const killing = [new Float32Array(7), new Float32Array(80)];
    Object.defineProperty(killing, 0, {
      get: () => {
        made.dispose();
        return new Float32Array(7);
      },
    });
    expect(() => made.runSync([floats(480)], killing)).toThrow(/after dispose/);
    // Outputs that vanish while the plan runs.
    const late = native.createPlan(planDescription(native));
    const gone = new Float32Array(7);
    const run = late.run([floats(480)], [gone, new Float32Array(80)]);
    detached(gone);
    await expect(run).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    late.dispose();
  });

  test('methods and getters on objects that are not theirs', () => {
    const filter = native.packDSConv2d(packing(24, 40));
    for (const [owner, foreign] of [
      [filter, plan],
      [plan, filter],
    ] as [object, object][]) {
      const prototype = Object.getPrototypeOf(owner);
      for (const name of Object.getOwnPropertyNames(prototype)) {
        if (name === 'constructor') continue;
        const { get, value } = Object.getOwnPropertyDescriptor(prototype, name)!;
        expect(() => (get ?? value).call(foreign), name).toThrow(TypeError);
        for (const self of [{}, Object.create(owner), 1, null, undefined]) {
          expect(() => (get ?? value).call(self), name).toThrow(Error);
        }
      }
      const Constructor = prototype.constructor;
      expect(() => new Constructor()).toThrow(/made by/);
      expect(() => new Constructor(filter)).toThrow(/made by/);
      expect(() => Reflect.construct(class extends Constructor {}, [])).toThrow(/made by/);
      expect(() => Constructor()).toThrow(TypeError);
    }
    filter.dispose();
  });

  test('the instruction set cannot be exchanged under a living plan', () => {
    expect(() => native.setIsa('portable')).toThrow(/in use by a plan/);
    expect(() => native.setIsa('mmx' as never)).toThrow();
    expect(() => native.setIsa(7 as never)).toThrow(TypeError);
  });

  test('shared memory that another call could change is read in bounds', () => {
    const shared = new Float32Array(new SharedArrayBuffer(4 * 480));
    const [, , , valid] = calls as [ValidCall, ValidCall, ValidCall, ValidCall];
    const args = [...valid.args];
    args[2] = shared;
    expect(call(valid.name, args)).toBeUndefined();
    const growable = new (
      SharedArrayBuffer as unknown as {
        new (length: number, options: { maxByteLength: number }): SharedArrayBuffer;
      }
    )(16, { maxByteLength: 4096 });
    args[2] = new Float32Array(growable);
    expect(() => call(valid.name, args)).toThrow(/x has 4 elements/);
    expect(() =>
      native.dsconv2d(
        record(24),
        args[1] as PackedFilter,
        floats(480),
        new Float32Array(799),
        null,
        null,
        null,
        0,
      ),
    ).toThrow(/y has 799/);
  });
});

function isPlain(value: unknown): boolean {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;
}

/** The object with the values at some of its keys exchanged. */
function damagedCopy(object: object, changes: readonly (readonly [number, unknown])[]): object {
  const keys = Object.keys(object);
  const copy: Record<string, unknown> = { ...object };
  for (const [at, value] of changes) if (keys[at] !== undefined) copy[keys[at]] = value;
  return copy;
}

function lengthOf(description: Record<string, unknown>, id: unknown): number {
  const buffers = description.buffers as { length?: number }[];
  const length = typeof id === 'number' ? buffers[id]?.length : 0;
  return typeof length === 'number' && length >= 0 && length < 2 ** 24 ? Math.floor(length) : 0;
}
