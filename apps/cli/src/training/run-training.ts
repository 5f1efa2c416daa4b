/** What finetune and adapt share: progress, logs, checkpoints, Ctrl-C. */
import { appendFile, rm, stat, writeFile } from 'node:fs/promises';
import { checkOutputPath, writeFileAtomic, writeNetworkFile } from '@dsconv/converter';
import {
  batchCount,
  type EpochReport,
  type ResumePoint,
  restoreSnapshot,
  type TrainableNetwork,
  type TrainingProgress,
  type TrainOptions,
  type TrainResult,
  takeSnapshot,
} from '@dsconv/layers';
import { type Context, printJson } from '../context.js';
import { InterruptedError, UsageError } from '../errors.js';
import { bytes, percent } from '../format.js';
import { createProgress } from '../progress.js';
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.js';
import { type LossPoint, lossCurve } from './loss-curve.js';
import { augmentationOf, type TrainingOptions } from './options.js';
import type { OpenedSource } from './picture-source.js';

/** What `finetune` and `adapt` of the layers package are called with beside their own options. */
export interface Hooks {
  resume?: ResumePoint;
  signal?: AbortSignal;
  onStep(progress: TrainingProgress): void;
  onEpoch(report: EpochReport): void;
  onCheckpoint(point: ResumePoint): Promise<void>;
}

export interface TrainingRun {
  student: TrainableNetwork;
  training: OpenedSource;
  /** What must be the same for going on, beside the options that both commands have. */
  settings: Record<string, unknown>;
  /** Named in front of scores. */
  scoreName: string;
  train(options: TrainCall): Promise<TrainResult>;
}

/** What the functions of the layers package are called with, whichever it is. */
export type TrainCall = Hooks &
  Pick<TrainOptions, 'source' | 'epochs' | 'batchSize' | 'seed' | 'augmentation' | 'patience'> & {
    learningRate: number;
  };

/** Where the checkpoint of an output lies unless another place is given. */
export const checkpointPath = ({ checkpoint, output }: TrainingOptions): string =>
  checkpoint ?? `${output}.checkpoint`;

/** Refuses paths that cannot be written before anything long is done. */
export async function checkOutputs(options: TrainingOptions): Promise<void> {
  const { output, log, curve } = options;
  for (const path of [output, checkpointPath(options), log, curve])
    if (path !== undefined) await checkOutputPath(path);
}

/**
 * Trains, and writes the network. After Ctrl-C the step is finished and a checkpoint written, from which `--resume` goes on.
 *
 * @throws InterruptedError after Ctrl-C, once the checkpoint is there
 */
export async function runTraining(
  run: TrainingRun,
  options: TrainingOptions,
  context: Context,
): Promise<void> {
  const { io } = context;
  const { student, training } = run;
  const { source } = training;
  const { epochs, batch, rate, seed, scales } = options;
  const augmentation = augmentationOf(options, student.source.preprocessing);
  const pictures = source.count;
  const perEpoch = batchCount(source, batch);
  const common = { epochs, batch, rate, seed, scales, augmentation, pictures };
  const settings = JSON.stringify({ ...run.settings, ...common });
  const file = checkpointPath(options);
  const resume = options.resume ? await resumeFrom(file, settings, student) : undefined;
  // From here on Ctrl-C is this function's to handle.
  context.finishesOnInterrupt = true;
  const points: LossPoint[] = [];
  const reports: EpochReport[] = [];
  const progress = createProgress(io, options.json === true, 'train', epochs * perEpoch);
  if (options.log !== undefined && !resume) await writeFile(options.log, '');
  let pending: string[] = [];
  const flush = async (): Promise<void> => {
    const lines = pending.join('');
    pending = [];
    if (options.log !== undefined && lines !== '') await appendFile(options.log, lines);
  };
  const begun = performance.now();
  let result: TrainResult;
  try {
    result = await run.train({
      source,
      epochs,
      batchSize: batch,
      learningRate: rate,
      seed,
      augmentation,
      ...(options.patience === undefined ? {} : { patience: options.patience }),
      ...(resume ? { resume } : {}),
      ...(io.signal ? { signal: io.signal } : {}),
      onStep(step) {
        points.push({ step: step.step, loss: step.loss });
        pending.push(`${JSON.stringify(step)}\n`);
        progress.update(step.step, describe(step));
      },
      onEpoch(report) {
        reports.push(report);
        pending.push(`${JSON.stringify(report)}\n`);
        if (options.json) return;
        progress.finish();
        const score = report.score === null ? '' : `, ${run.scoreName} ${percent(report.score)}`;
        io.stderr.write(
          `epoch ${report.epoch}: loss ${report.loss.toFixed(4)}${score}${report.isBest && score ? ', the best so far' : ''}\n`,
        );
      },
      async onCheckpoint(point) {
        await writeCheckpoint(file, { ...point, settings, state: await takeSnapshot(student.state) });
        await flush();
      },
    });
  } finally {
    progress.finish();
    await flush();
  }
  if (result.aborted) {
    io.stderr.write(`stopped after step ${result.position.step}; --resume goes on from '${file}'\n`);
    throw new InterruptedError();
  }
  const network = await student.freeze();
  const written = await writeNetworkFile(options.output, network);
  if (options.curve !== undefined && points.length > 0) {
    await writeFileAtomic(options.curve, lossCurve(points, reports, perEpoch));
  }
  if (options.checkpoint === undefined) await rm(file, { force: true });
  const seconds = (performance.now() - begun) / 1000;
  if (options.json) {
    printJson(io, {
      output: options.output,
      bytes: written,
      seconds,
      epochs: result.epochs,
      bestScore: result.position.bestScore,
      pictures,
      skipped: training.skipped,
      architecture: student.source.architecture.name,
    });
    return;
  }
  const score = result.position.bestScore;
  io.stdout.write(
    `${options.output}: ${bytes(written)}${score === null ? '' : `, ${run.scoreName} ${percent(score)}`}, ${seconds.toFixed(0)} s\n`,
  );
}

async function resumeFrom(file: string, settings: string, student: TrainableNetwork): Promise<ResumePoint> {
  if (!(await stat(file).catch(() => null))) {
    throw new UsageError(
      `--resume is given, but there is no checkpoint '${file}'; expected one that an interrupted training left`,
    );
  }
  const { position, best, optimizer, state } = await readCheckpoint(file, settings);
  restoreSnapshot(student.state, state);
  return { position, best, optimizer };
}

function describe({ epoch, loss, accuracy, picturesPerSecond, secondsLeft }: TrainingProgress): string {
  const right = accuracy === null ? '' : ` right ${percent(accuracy, 0)}`;
  const left = secondsLeft >= 90 ? `${Math.round(secondsLeft / 60)} min` : `${Math.round(secondsLeft)} s`;
  return `epoch ${epoch} loss ${loss.toFixed(4)}${right} ${picturesPerSecond.toFixed(0)} pictures/s, ${left} left`;
}
