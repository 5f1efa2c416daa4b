/** Progress of long work on stderr: a bar on a terminal, plain lines in a log, nothing with `--json`. */
import type { Io } from './io.js';

export interface Progress {
  /** @param detail what is being worked on, shown behind the bar */
  update(done: number, detail?: string): void;
  /** Removes the bar; call it before anything else is printed. */
  finish(): void;
}

const SILENT: Progress = { update() {}, finish() {} };
const BAR_WIDTH = 24;
/** A terminal is redrawn at most this often, milliseconds. */
const REDRAW_INTERVAL = 80;
/** A log gets a line at most this often, milliseconds. */
const LINE_INTERVAL = 2000;

/** @param total pieces of work, as counted by `update` */
export function createProgress(io: Io, silent: boolean, label: string, total: number): Progress {
  if (silent) return SILENT;
  return io.stderr.isTTY ? createBar(io, label, total) : createLines(io, label, total);
}

function createBar(io: Io, label: string, total: number): Progress {
  const columns = io.stderr.columns ?? 80;
  let drawnAt = 0;
  let drawn = false;
  return {
    update(done, detail = '') {
      const now = performance.now();
      if (done < total && now - drawnAt < REDRAW_INTERVAL) return;
      drawnAt = now;
      drawn = true;
      const filled = total > 0 ? Math.min(BAR_WIDTH, Math.round((done / total) * BAR_WIDTH)) : BAR_WIDTH;
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      const line = `${label} ${bar} ${done}/${total} ${detail}`;
      io.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
    },
    finish() {
      if (drawn) io.stderr.write('\r\x1b[K');
      drawn = false;
    },
  };
}

function createLines(io: Io, label: string, total: number): Progress {
  let printedAt = performance.now();
  return {
    update(done, detail = '') {
      const now = performance.now();
      if (now - printedAt < LINE_INTERVAL) return;
      printedAt = now;
      io.stderr.write(`${label} ${done}/${total}${detail && ` ${detail}`}\n`);
    },
    finish() {},
  };
}

/** Progress of work in several stages, such as measuring all layers before all of them are quantized. */
export interface Stages {
  update(progress: { done: number; total: number; layer: string | null; stage?: string }): void;
  finish(): void;
}

/** @param label of work without stages */
export function createStages(io: Io, silent: boolean, label: string): Stages {
  let current: { key: string; progress: Progress } | null = null;
  let before = 0;
  return {
    update({ done, total, layer, stage }) {
      const key = `${stage ?? ''} ${total}`;
      // Work that begins anew has a bar of its own.
      if (current === null || current.key !== key || done < before) {
        current?.progress.finish();
        const name = stage === undefined || stage === 'quantize' ? label : stage;
        current = { key, progress: createProgress(io, silent, name, total) };
      }
      before = done;
      current.progress.update(done, layer ?? '');
    },
    finish() {
      current?.progress.finish();
    },
  };
}
