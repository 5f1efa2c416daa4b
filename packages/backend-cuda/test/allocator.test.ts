/** The allocator on a device that is made up: what it asks of the driver, what it keeps, and what it says when there is no more. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Allocator, type DeviceMemory, sizeClass } from '../src/device/allocator.js';
import { OutOfMemoryError } from '../src/errors.js';

const MIB = 2 ** 20;

class FakeDevice implements DeviceMemory {
  readonly blocks = new Map<number, number>();
  mallocs = 0;
  private next = 256;

  constructor(readonly total: number) {}

  get used(): number {
    return [...this.blocks.values()].reduce((sum, size) => sum + size, 0);
  }

  malloc(bytes: number): number {
    this.mallocs++;
    if (this.used + bytes > this.total) throw Object.assign(new Error('no room'), { code: 'OUT_OF_MEMORY' });
    const address = this.next;
    this.next += Math.ceil(bytes / 256) * 256;
    this.blocks.set(address, bytes);
    return address;
  }

  free(address: number): void {
    if (!this.blocks.delete(address)) throw new Error(`${address} was freed, but is no block`);
  }

  memoryInfo() {
    return { free: this.total - this.used, total: this.total };
  }

  isOutOfMemory(error: unknown): boolean {
    return (error as { code?: string }).code === 'OUT_OF_MEMORY';
  }
}

let device: FakeDevice;
beforeEach(() => {
  device = new FakeDevice(100 * MIB);
});

test('a class is never smaller than asked for, at most an eighth larger beyond 4 KiB, and a class of its own', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (bytes) => {
      const size = sizeClass(bytes);
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size % 512).toBe(0);
      expect(sizeClass(size)).toBe(size);
      if (bytes >= 4096) expect(size).toBeLessThanOrEqual(Math.ceil(bytes * 1.125));
    }),
  );
});

test('a freed block serves the next request of its class without the driver', () => {
  const memory = new Allocator(device);
  const first = memory.allocate(1000);
  memory.free(first);
  expect(memory.inUse).toBe(0);
  expect(memory.cached).toBe(1024);
  expect(memory.allocate(900)).toBe(first);
  expect(memory.cached).toBe(0);
  // Another class.
  const other = memory.allocate(100_000);
  expect(other).not.toBe(first);
  expect(device.mallocs).toBe(2);
  expect(memory.inUse).toBe(1024 + sizeClass(100_000));
});

test('nothing takes nothing', () => {
  const memory = new Allocator(device);
  expect(memory.allocate(0)).toBe(0);
  memory.free(0);
  expect(device.mallocs).toBe(0);
});

test('what is freed twice, or was never given, is told', () => {
  const memory = new Allocator(device);
  const address = memory.allocate(10);
  memory.free(address);
  expect(() => memory.free(address)).toThrow(`address ${address} is freed, but not in use`);
  expect(() => memory.free(3)).toThrow('address 3 is freed');
});

test('a block with two holders is free when both gave it up', () => {
  const memory = new Allocator(device);
  const address = memory.allocate(1000);
  memory.retain(address);
  memory.retain(address);
  memory.free(address);
  memory.free(address);
  expect(memory.inUse).toBe(1024);
  memory.free(address);
  expect(memory.inUse).toBe(0);
  expect(() => memory.retain(address)).toThrow(`address ${address} is retained, but not in use`);
});

describe('the limit', () => {
  test('is nine tenths of what is free unless it is told', () => {
    expect(new Allocator(device).limit).toBe(Math.floor(90 * MIB));
    expect(new Allocator(device, { limit: 5 * MIB }).limit).toBe(5 * MIB);
  });

  test('kept blocks go back to the driver before a request is refused', () => {
    const memory = new Allocator(device, { limit: 10 * MIB });
    for (const address of [1, 2, 3].map((n) => memory.allocate(n * MIB))) memory.free(address);
    expect(memory.cached).toBe(6 * MIB);
    memory.allocate(8 * MIB);
    // The largest went, the others fit beside.
    expect(memory.inUse).toBe(8 * MIB);
    expect(memory.cached).toBeLessThanOrEqual(2 * MIB);
    expect(device.used).toBe(memory.inUse + memory.cached);
  });

  test('beyond it the error names what was asked for and what there is', () => {
    const memory = new Allocator(device, { limit: 10 * MIB });
    memory.allocate(6 * MIB);
    memory.free(memory.allocate(MIB));
    const call = () => memory.allocate(5 * MIB);
    expect(call).toThrow(OutOfMemoryError);
    expect(call).toThrow(
      `${5 * MIB} bytes are requested on the GPU; ${6 * MIB} are in use and ${MIB} kept of the ${10 * MIB} that are allowed, and the device has ${93 * MIB} free`,
    );
    try {
      call();
    } catch (error) {
      expect((error as OutOfMemoryError).code).toBe('OUT_OF_MEMORY');
      expect((error as OutOfMemoryError).sizes).toEqual({
        requested: 5 * MIB,
        inUse: 6 * MIB,
        cached: MIB,
        limit: 10 * MIB,
        free: 93 * MIB,
      });
    }
    // Refusing took nothing, and what fits still fits.
    memory.allocate(4 * MIB);
  });
});

test('a device that others fill gets the kept blocks back first', () => {
  const memory = new Allocator(device, { limit: 100 * MIB });
  memory.free(memory.allocate(30 * MIB));
  device.blocks.set(-1, 60 * MIB);
  const address = memory.allocate(40 * MIB);
  expect(memory.cached).toBe(0);
  expect(() => memory.allocate(MIB)).toThrow(/the device has 0 free/);
  memory.free(address);
});

test('errors of the driver that are not about memory pass', () => {
  const memory = new Allocator(device);
  device.malloc = () => {
    throw new Error('the device is on fire');
  };
  expect(() => memory.allocate(1)).toThrow('the device is on fire');
});

test('without a cache blocks are of the exact size and go back at once', () => {
  const memory = new Allocator(device, { cache: false });
  const address = memory.allocate(1001);
  expect(device.blocks.get(address)).toBe(1001);
  memory.free(address);
  expect(device.used).toBe(0);
  expect(memory.inUse).toBe(0);
});

test('what is abandoned is the matter of whoever closes the device', () => {
  const memory = new Allocator(device);
  const address = memory.allocate(1000);
  memory.free(memory.allocate(5000));
  memory.abandon();
  expect([memory.inUse, memory.cached, memory.blocks]).toEqual([0, 0, 0]);
  // Filters are freed when the garbage collector comes to them, at any time.
  memory.free(address);
  memory.retain(address);
});

test('any sequence of requests and frees leaves no block behind and overlaps none', () => {
  const operations = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3 * MIB }), fc.nat()), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(operations, (list) => {
      const own = new FakeDevice(20 * MIB);
      const memory = new Allocator(own, { limit: 16 * MIB });
      const live: { address: number; bytes: number }[] = [];
      for (const [frees, bytes, pick] of list) {
        if (frees && live.length > 0) {
          memory.free(live.splice(pick % live.length, 1)[0]!.address);
          continue;
        }
        try {
          live.push({ address: memory.allocate(bytes), bytes });
        } catch (error) {
          expect(error).toBeInstanceOf(OutOfMemoryError);
        }
        expect(memory.inUse + memory.cached).toBeLessThanOrEqual(memory.limit);
        expect(own.used).toBe(memory.inUse + memory.cached);
      }
      const sorted = live.sort((a, b) => a.address - b.address);
      sorted.forEach(({ address, bytes }, n) => {
        if (n + 1 < sorted.length) expect(address + bytes).toBeLessThanOrEqual(sorted[n + 1]!.address);
      });
      for (const { address } of live) memory.free(address);
      memory.trim();
      expect(own.used).toBe(0);
    }),
  );
});
