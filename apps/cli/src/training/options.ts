/** Options that finetune and adapt share, and what they are checked for. */
import type { Augmentation, ScaleTraining } from '@dsconv/layers';
import type { Preprocessing } from '@dsconv/models';
import { type Command, Option } from 'commander';
import { type CommonOptions, checkRange, integer, remainder } from '../options.js';
import { part, positive } from '../targets.js';

export interface TrainingOptions extends CommonOptions {
  output: string;
  validate?: string;
  epochs: number;
  rate: number;
  batch: number;
  scales: ScaleTraining;
  shift: number;
  mirror: boolean;
  zoom?: number;
  size?: number;
  mix?: number;
  patience?: number;
  limit?: number;
  filterMod?: { modulus: number; remainder: number };
  seed: number;
  skipBad: boolean;
  checkpoint?: string;
  resume?: boolean;
  log?: string;
  curve?: string;
}

/** Adds them; a command's own options come before. */
export function withTrainingOptions(
  command: Command,
  { epochs, rate, batch }: Pick<TrainingOptions, 'epochs' | 'rate' | 'batch'>,
): Command {
  return command
    .requiredOption('-o, --output <file>', 'safetensors file to write')
    .option('--validate <dir>', 'other pictures, to score every epoch on; the best one is kept')
    .option('--epochs <n>', 'times that every picture is seen', integer, epochs)
    .option('--rate <number>', 'learning rate at its highest', positive, rate)
    .option('--batch <n>', 'pictures per step', integer, batch)
    .addOption(
      new Option('--scales <how>', 'what becomes of the scales')
        .choices(['fitted', 'learned', 'frozen'])
        .default('fitted'),
    )
    .option('--shift <pixels>', 'move pictures by up to so many pixels', integer, 0)
    .option('--mirror', 'mirror half of the pictures', false)
    .option(
      '--zoom <share>',
      'cut out squares at random, of at least this share of the side, such as 60%',
      part,
    )
    .option('--size <pixels>', 'learn from squares of this side, smaller ones being faster', integer)
    .option('--patience <n>', 'end after so many epochs without a better score', integer)
    .option('--limit <n>', 'at most this many pictures, spread evenly over the set', integer)
    .option(
      '--filter-mod <m=r>',
      'only pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .option('--seed <n>', 'of order and changes of the pictures', integer, 1)
    .option('--skip-bad', 'leave out pictures that cannot be read', false)
    .option('--checkpoint <file>', 'where training is kept after every epoch (default: beside the output)')
    .option('--resume', 'go on from the checkpoint')
    .option('--log <file>', 'write every step and epoch as a line of JSON')
    .option('--curve <file>', 'draw the loss as SVG');
}

/** @throws InvalidArgumentError naming the option */
export function checkTrainingOptions({ epochs, batch, shift, size, limit, patience }: TrainingOptions): void {
  checkRange('--epochs', epochs, 1);
  checkRange('--batch', batch, 1);
  checkRange('--shift', shift, 0);
  checkRange('--size', size, 1);
  checkRange('--limit', limit, 1);
  checkRange('--patience', patience, 1);
}

/** What moves in from outside of a picture is black, as the network sees it. */
export function augmentationOf(
  { shift, mirror, zoom, size, mix }: TrainingOptions,
  { mean, std, range }: Preprocessing,
): Augmentation {
  return {
    shift,
    mirror,
    fill: mean.map((value, c) => (range[0] - value) / std[c]!),
    ...(zoom === undefined ? {} : { zoom }),
    ...(size === undefined ? {} : { size }),
    ...(mix === undefined ? {} : { mix }),
  };
}
