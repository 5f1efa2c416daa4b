/** The number of threads under a container's CPU quota, on trees of files as Linux has them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cpuQuota, threadsWithin } from '../src/native/cpu-limit.js';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** The files of a system below a temporary root. */
async function system(tree: Record<string, string>) {
  const root = await mkdtemp(join(tmpdir(), 'dsconv-cgroup-'));
  folders.push(root);
  for (const [path, text] of Object.entries(tree)) {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const read = (path: string) => readFile(path, 'utf8').catch(() => null);
  return { root, read, join };
}

describe('CPU quota, control groups version 2', () => {
  test('of a container that sees its own group as the root', async () => {
    const files = await system({
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/cpu.max': '250000 100000\n',
    });
    expect(await cpuQuota(files)).toBe(2.5);
    expect(await threadsWithin(8, files)).toBe(2);
    expect(await threadsWithin(1, files)).toBe(1);
  });

  test('of a group above the own one', async () => {
    const files = await system({
      'proc/self/cgroup': '0::/user.slice/job.scope\n',
      'sys/fs/cgroup/user.slice/cpu.max': '300000 100000\n',
      'sys/fs/cgroup/user.slice/job.scope/cpu.max': 'max 100000\n',
    });
    expect(await cpuQuota(files)).toBe(3);
  });

  test('below one CPU still gives a thread', async () => {
    const files = await system({
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/cpu.max': '50000 100000\n',
    });
    expect(await threadsWithin(4, files)).toBe(1);
  });
});

describe('CPU quota, control groups version 1', () => {
  const lines = '12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n';

  test('in the folder of all its controllers', async () => {
    const files = await system({
      'proc/self/cgroup': lines,
      'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us': '400000\n',
      'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    });
    expect(await threadsWithin(16, files)).toBe(4);
  });

  test('of a container that is told its path on the host', async () => {
    const files = await system({
      'proc/self/cgroup': lines,
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '150000\n',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '50000\n',
    });
    expect(await cpuQuota(files)).toBe(3);
  });

  test('beside a version 2 hierarchy without the controller', async () => {
    const files = await system({
      'proc/self/cgroup': `${lines}0::/docker/abc\n`,
      'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us': '200000\n',
      'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us': '100000\n',
    });
    expect(await cpuQuota(files)).toBe(2);
  });
});

test('without a quota every core counts', async () => {
  for (const tree of [
    {},
    { 'proc/self/cgroup': '0::/\n' },
    { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' },
    { 'proc/self/cgroup': 'garbage\n::\n0::/../..\n', 'sys/fs/cgroup/cpu.max': '' },
    {
      'proc/self/cgroup': '4:cpu:/\n',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
  ]) {
    const files = await system(tree as Record<string, string>);
    expect(await cpuQuota(files)).toBe(Number.POSITIVE_INFINITY);
    expect(await threadsWithin(6, files)).toBe(6);
  }
});
