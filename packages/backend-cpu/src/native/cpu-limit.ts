/** How many threads a process can use: what the scheduler allows, also under the CPU quota of a container. Linux; elsewhere there are no quotas. */

/** What the files of the system are read with. */
export interface SystemFiles {
  /** Root of the file tree; another one than '/' is for tests. */
  root: string;
  /** Text of a file, null where it cannot be read. */
  read(path: string): Promise<string | null>;
  join(...parts: string[]): string;
}

/**
 * @param cores `os.availableParallelism()`, which knows affinity and cpusets but no quotas
 * @returns whole threads within the quota, at least 1: a thread beyond it would be put to sleep in the middle of a layer while others wait
 */
export async function threadsWithin(cores: number, files: SystemFiles): Promise<number> {
  const quota = await cpuQuota(files);
  return Math.max(1, Math.min(cores, Math.floor(quota)));
}

/** CPUs that control groups allow on average; Infinity without a limit. The tightest of the process's group and those above it counts. */
export async function cpuQuota(files: SystemFiles): Promise<number> {
  const text = (await files.read(files.join(files.root, 'proc/self/cgroup'))) ?? '';
  const limits = [Number.POSITIVE_INFINITY];
  for (const line of text.split('\n')) {
    // hierarchy:controllers:path, of which version 2 has one line with no controllers.
    const [hierarchy, controllers, path] = line.split(/:(.*?):(.*)/);
    if (path === undefined || controllers === undefined) continue;
    if (hierarchy === '0' && controllers === '') limits.push(...(await unified(files, path)));
    else if (controllers.split(',').includes('cpu')) limits.push(...(await legacy(files, controllers, path)));
  }
  return Math.min(...limits);
}

/** Version 2: cpu.max holds "quota period" in microseconds, or "max period". */
async function unified({ root, read, join }: SystemFiles, path: string): Promise<number[]> {
  const limits: number[] = [];
  // Beside version 1, the unified hierarchy has a folder of its own.
  for (const mount of ['sys/fs/cgroup', 'sys/fs/cgroup/unified']) {
    for (const group of groupsAbove(path)) {
      const text = await read(join(root, mount, group, 'cpu.max'));
      if (text !== null) limits.push(ratio(...(text.trim().split(/\s+/) as [string, string?])));
    }
  }
  return limits;
}

/** Version 1: quota and period in a file each; a quota of -1 is none. */
async function legacy(
  { root, read, join }: SystemFiles,
  controllers: string,
  path: string,
): Promise<number[]> {
  const limits: number[] = [];
  for (const mount of new Set([controllers, 'cpu'])) {
    for (const group of groupsAbove(path)) {
      const folder = join(root, 'sys/fs/cgroup', mount, group);
      const quota = await read(join(folder, 'cpu.cfs_quota_us'));
      const period = await read(join(folder, 'cpu.cfs_period_us'));
      if (quota !== null && period !== null) limits.push(ratio(quota, period));
    }
  }
  return limits;
}

/** The group and all above it; in a container the path may be one of the host, of which only the root is visible, as '/'. */
function groupsAbove(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, n) => `/${parts.slice(0, n).join('/')}`);
}

function ratio(quota: string, period: string | undefined): number {
  const [allowed, of] = [Number(quota), Number(period)];
  return allowed > 0 && of > 0 ? allowed / of : Number.POSITIVE_INFINITY;
}
