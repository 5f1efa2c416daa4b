import { describe, expect, it } from 'vitest';
import { linearReference } from '../src/compare.js';
import { whyNotExact } from '../src/exactness.js';
import { allCases, behaviourCases, costOf, exactCases, makeData, type OperatorCase } from '../src/index.js';

describe('the lists of cases', () => {
  it('have unique names', () => {
    const names = allCases.map(({ tier, name }) => `${tier}: ${name}`);
    expect(names.filter((name, n) => names.indexOf(name) !== n)).toEqual([]);
  });

  it('are small enough for a suite of seconds', () => {
    expect(allCases.filter((c) => costOf(c) > 2e6).map(({ name }) => name)).toEqual([]);
    expect(allCases.reduce((sum, c) => sum + costOf(c), 0)).toBeLessThan(1e8);
  });

  it('hold in the exact tier only cases whose sums are exact in any order', () => {
    const onExact: OperatorCase[] = [...exactCases, ...behaviourCases.map(({ on }) => on)];
    for (const c of onExact) {
      if (c.data === 'random') continue;
      const data = makeData(c);
      expect.soft(whyNotExact(c, data, linearReference(c, data).magnitude), c.name).toBeNull();
      data.filter.dispose();
    }
  });
});
