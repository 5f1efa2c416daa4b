/** The interleaved measurement: every layer on every engine in turn, so that a machine that slows down slows all of them. */
import { setBackend } from '@tensorflow/tfjs-core';
import type { Engine, PreparedLayer } from './engines.js';
import type { BenchLayer } from './layer.js';
import { gmacs, median, sample, warmUp } from './measure.js';

export interface BenchCase {
  network: string;
  layer: string;
  /** Backend or peer. */
  engine: string;
  tier: string | null;
  /** Weight bits; null for a float32 peer. */
  bits: number | null;
  blockSize: number | null;
  medianMs: number;
  macs: number;
  /** How often the layer occurs in the network. */
  count: number;
}

export interface BenchTotal {
  network: string;
  engine: string;
  tier: string | null;
  /** Sum over the network's layers, each as often as it occurs. */
  ms: number;
  gmacs: number;
}

export interface BenchRatio {
  network: string;
  engine: string;
  tier: string | null;
  peer: string;
  /** How many times faster than the peer: above 1 is faster. */
  ratio: number;
}

/**
 * Measures one layer: all engines warmed up, then `runs` rounds of one sample each, round-robin.
 *
 * @returns median milliseconds per engine, in the order of `engines`
 */
export async function measureLayer(
  engines: readonly Engine[],
  layer: BenchLayer,
  runs: number,
): Promise<number[]> {
  const prepared: { layer: PreparedLayer; repeats: number; times: number[]; backend: string }[] = [];
  for (const { backend, prepare } of engines) {
    await setBackend(backend);
    const ready = prepare(layer);
    prepared.push({ layer: ready, repeats: warmUp(ready.run), times: [], backend });
  }
  for (let round = 0; round < runs; round++) {
    for (const { backend, layer: ready, repeats, times } of prepared) {
      await setBackend(backend);
      times.push(sample(ready.run, repeats));
    }
  }
  for (const { backend, layer: ready } of prepared) {
    await setBackend(backend);
    ready.dispose();
  }
  return prepared.map(({ times }) => median(times));
}

/** Sums the cases of each network and engine. */
export function totals(cases: readonly BenchCase[]): BenchTotal[] {
  const sums = new Map<string, BenchTotal & { macs: number }>();
  for (const { network, engine, tier, medianMs, macs, count } of cases) {
    const key = `${network}/${engine}/${tier}`;
    const sum = sums.get(key) ?? { network, engine, tier, ms: 0, gmacs: 0, macs: 0 };
    sum.ms += medianMs * count;
    sum.macs += macs * count;
    sums.set(key, sum);
  }
  return [...sums.values()].map(({ macs, ...total }) => ({ ...total, gmacs: gmacs(macs, total.ms) }));
}

/** Every engine with a tier against every peer of the same network. */
export function ratios(all: readonly BenchTotal[]): BenchRatio[] {
  const peers = all.filter(({ tier }) => tier === null);
  return all
    .filter(({ tier }) => tier !== null)
    .flatMap(({ network, engine, tier, ms }) =>
      peers
        .filter((peer) => peer.network === network)
        .map((peer) => ({ network, engine, tier, peer: peer.engine, ratio: peer.ms / ms })),
    );
}
