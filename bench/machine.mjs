import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';

/** Description of the machine a figure was measured on. */
export function machine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${platform()} ${arch()}`,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
}
