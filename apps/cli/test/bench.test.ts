import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { type BenchCase, ratios, totals } from '../src/bench/layers.js';
import { median } from '../src/bench/measure.js';
import { networkLayers } from '../src/bench/network-layers.js';
import { dsconv, temporaryFolder } from './support.js';

const folder = temporaryFolder();

interface TierOutput {
  name: string;
  tier: string;
  available: boolean;
  reason: string | null;
  selfTest: boolean | null;
  gmacs: number | null;
}

describe('doctor', () => {
  it('reports every tier with its self-test and speed', async () => {
    const run = await dsconv('doctor', '--json');
    expect(run).toMatchObject({ code: 0, err: '' });
    const { backends: all, machine } = run.json<{ backends: TierOutput[]; machine: { node: string } }>();
    const backends = all.filter(({ name }) => name === 'dsconv-cpu');
    expect(backends.map(({ tier }) => tier)).toEqual(['native', 'wasm-relaxed-simd', 'wasm-simd', 'js']);
    for (const { tier, available, reason, selfTest, gmacs } of backends) {
      if (tier === 'native' && available) expect(reason).toMatch(/^instruction set \w+, \d+ threads?/);
      if (available) expect([selfTest, gmacs! > 0]).toEqual([true, true]);
      else expect(reason).toEqual(expect.any(String));
    }
    expect(backends.at(-1)).toMatchObject({ available: true, selfTest: true });
    expect(machine.node).toBe(process.version);
  });

  it('prints a table for people', async () => {
    const run = await dsconv('doctor', '--backend', 'dsconv-cpu');
    expect(run.out).toMatch(new RegExp(`^Node ${process.version}`));
    expect(run.out).toMatch(/^dsconv-cpu +js +yes +passed +\d+\.\d\d$/m);
  });
});

describe('bench layers', () => {
  it('compares a tier with a peer in one run and writes the figures', async () => {
    const examined = await dsconv('doctor', '--json', '--backend', 'dsconv-cpu');
    const { backends } = examined.json<{ backends: TierOutput[] }>();
    const tier = backends.find((candidate) => candidate.available)!.tier;
    const run = await dsconv(
      ...['bench', 'layers', '--network', 'mobilenet_v1', '--runs', '1', '--tiers', tier],
      ...['--peer', 'tfjs-wasm', '--out', join(folder, 'layers.json'), '--json'],
    );
    expect(run).toMatchObject({ code: 0, err: '' });
    const result = run.json<{
      cases: BenchCase[];
      totals: object[];
      ratios: { ratio: number }[];
      machine: object;
    }>();
    expect(JSON.parse(readFileSync(join(folder, 'layers.json'), 'utf8'))).toEqual(result);
    expect(Object.keys(result.machine).sort()).toEqual(['cores', 'cpu', 'node', 'platform']);
    expect(result.cases).toHaveLength(2 * networkLayers('mobilenet_v1', 4, 64).length);
    for (const { medianMs, macs, count } of result.cases)
      expect(Math.min(medianMs, macs, count)).toBeGreaterThan(0);
    expect(result.totals).toMatchObject([
      { engine: 'dsconv-cpu', tier },
      { engine: 'tfjs-wasm', tier: null },
    ]);
    expect(result.ratios).toMatchObject([{ engine: 'dsconv-cpu', tier, peer: 'tfjs-wasm' }]);
    expect(result.ratios[0]!.ratio).toBeGreaterThan(0);
  });

  it('says how to install a peer that is missing', async () => {
    vi.doMock('@tensorflow/tfjs-backend-wasm', () => {
      throw new Error('Cannot find package');
    });
    const run = await dsconv('bench', 'layers', '--peer', 'tfjs-wasm', '--json');
    vi.doUnmock('@tensorflow/tfjs-backend-wasm');
    expect(run.code).toBe(1);
    expect(run.json()).toMatchObject({
      error: {
        code: 'MISSING_PACKAGE',
        message: expect.stringMatching(/npm install @tensorflow\/tfjs-backend-wasm/),
      },
    });
  });
});

describe('the figures', () => {
  it('counts the layers of the networks', () => {
    const sum = (network: string) =>
      networkLayers(network, 4, 64).reduce((total, { macs, count }) => total + macs * count, 0) / 1e9;
    // Published: 4.09 GMAC with the classifier's 2 MMAC, and 569 MMAC with its 1 MMAC.
    expect(sum('resnet50')).toBeCloseTo(4.087, 2);
    expect(sum('mobilenet_v1')).toBeCloseTo(0.568, 2);
    const occurrences = networkLayers('resnet50', 4, 64).reduce((total, { count }) => total + count, 0);
    expect(occurrences).toBe(53);
  });

  it('weighs layers by how often they occur', () => {
    const one = { network: 'n', bits: 4, blockSize: 64, macs: 1e6 };
    const cases: BenchCase[] = [
      { ...one, layer: 'a', engine: 'e', tier: 't', medianMs: 1, count: 3 },
      { ...one, layer: 'b', engine: 'e', tier: 't', medianMs: 2, count: 1 },
      { ...one, layer: 'a', engine: 'p', tier: null, medianMs: 2, count: 3 },
      { ...one, layer: 'b', engine: 'p', tier: null, medianMs: 4, count: 1 },
    ];
    const sums = totals(cases);
    expect(sums).toEqual([
      { network: 'n', engine: 'e', tier: 't', ms: 5, gmacs: 4e6 / 5e6 },
      { network: 'n', engine: 'p', tier: null, ms: 10, gmacs: 4e6 / 10e6 },
    ]);
    expect(ratios(sums)).toEqual([{ network: 'n', engine: 'e', tier: 't', peer: 'p', ratio: 2 }]);
  });

  it('takes medians', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
});
