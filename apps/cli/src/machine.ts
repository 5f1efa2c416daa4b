import { readFileSync } from 'node:fs';
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
  try {
    // Linux counts the parent's memory at the moment of the start into maxRSS; VmHWM is this program's own.
    const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (peak) return Number(peak[1]) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
