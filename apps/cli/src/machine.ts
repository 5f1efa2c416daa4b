import { cpus } from 'node:os';

export interface Machine {
  cpu: string;
  cores: number;
  node: string;
  platform: string;
}

/** What a measurement was taken on. */
export function describeMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() || 'unknown',
    cores: all.length,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** Most memory this process has used at once, bytes. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS * 1024;
}
