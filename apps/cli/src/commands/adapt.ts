import { adapt, type ScaleTraining, TrainableNetwork } from '@dsconv/layers';
import { Option } from 'commander';
import { useBackend } from '../backends.js';
import type { Context, RegisterCommand } from '../context.js';
import { selectSamples } from '../data-sets/data-set.js';
import { openDataSet } from '../data-sets/index.js';
import { DataSetError } from '../errors.js';
import { openNetwork } from '../networks.js';
import { checkRange, integer, remainder, withCommonOptions } from '../options.js';
import { part, positive } from '../targets.js';
import { loadGradients } from '../training/gradients.js';
import { openSource, tellSkipped } from '../training/picture-source.js';
import { checkOutputs, runTraining, type TrainingCommandOptions } from '../training/run-training.js';
import { agreementWith, classesOf } from '../training/scores.js';

interface AdaptOptions extends TrainingCommandOptions {
  model: string;
  teacher: string;
  pictures: string;
  validate?: string;
  epochs: number;
  rate: number;
  batch: number;
  features: number;
  scales: ScaleTraining;
  shift: number;
  mirror: boolean;
  keepShadow: boolean;
  patience?: number;
  limit?: number;
  filterMod?: { modulus: number; remainder: number };
  validateMod?: { modulus: number; remainder: number };
  seed: number;
  skipBad: boolean;
}

export const registerAdapt: RegisterCommand = (program, context) => {
  const command = program
    .command('adapt')
    .description('bring a quantized network nearer to its float network on pictures without labels')
    .requiredOption('--model <file|id>', 'quantized network')
    .requiredOption('--teacher <file>', 'the float network')
    .requiredOption('--pictures <dir>', 'pictures like those the network is for; labels are not looked at')
    .requiredOption('-o, --output <file>', 'safetensors file to write')
    .option('--validate <dir>', 'other pictures, to score agreement on every epoch; the best one is kept')
    .option('--epochs <n>', 'times that every picture is seen', integer, 5)
    .option('--rate <number>', 'learning rate of Adam at its highest', positive, 1e-4)
    .option('--batch <n>', 'pictures per step', integer, 32)
    .option('--features <share>', 'weight of the feature maps against the answers, such as 50%', part, 0.5)
    .addOption(
      new Option('--scales <how>', 'what becomes of the scales')
        .choices(['fitted', 'learned', 'frozen'])
        .default('fitted'),
    )
    .option('--keep-shadow', 'start from the float weights, not from what the integers stand for', false)
    .option('--shift <pixels>', 'move pictures by up to so many pixels', integer, 0)
    .option('--mirror', 'mirror half of the pictures', false)
    .option('--patience <n>', 'end after so many epochs without a better score', integer)
    .option('--limit <n>', 'at most this many pictures, spread evenly over the set', integer)
    .option(
      '--filter-mod <m=r>',
      'only pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .option('--validate-mod <m=r>', 'the same for the pictures of --validate', remainder)
    .option('--seed <n>', 'of order and changes of the pictures', integer, 1)
    .option('--skip-bad', 'leave out pictures that cannot be read', false)
    .option('--checkpoint <file>', 'where training is kept after every epoch (default: beside the output)')
    .option('--resume', 'go on from the checkpoint')
    .option('--log <file>', 'write every step and epoch as a line of JSON')
    .option('--curve <file>', 'draw the loss as SVG')
    .action((options: AdaptOptions) => run(options, context));
  withCommonOptions(command, [
    'dsconv adapt --model mobilenet-2bit.safetensors --teacher mobilenet/ --pictures photos/ -o adapted.safetensors',
  ]);
};

async function run(options: AdaptOptions, context: Context): Promise<void> {
  const { io } = context;
  const { epochs, rate, batch, seed, scales, shift, mirror, features, keepShadow } = options;
  const silent = options.json === true;
  checkRange('--epochs', epochs, 1);
  checkRange('--batch', batch, 1);
  checkRange('--shift', shift, 0);
  await checkOutputs(options);
  await useBackend(options, io);
  await loadGradients();
  const network = await openNetwork(options.model);
  const teacher = await openNetwork(options.teacher);
  const open = async (path: string, filter: AdaptOptions['filterMod'], limit?: number) => {
    const { samples } = await openDataSet(path, null);
    const chosen = selectSamples(samples, filter, limit);
    if (chosen.length === 0) throw new DataSetError(`no picture of '${path}' passes the filter`);
    const opened = await openSource(chosen, network, { io, silent, skipBad: options.skipBad });
    tellSkipped(io, opened.skipped);
    return opened;
  };
  const training = await open(options.pictures, options.filterMod, options.limit);
  const validation =
    options.validate === undefined ? null : await open(options.validate, options.validateMod);
  const wanted = validation && (await classesOf(teacher, validation.source));
  const student = new TrainableNetwork(network, { ...(keepShadow ? { float: teacher } : {}), scales });
  const perEpoch = Math.max(1, Math.floor(training.source.count / batch));
  const pictures = training.source.count;
  await runTraining(
    {
      student,
      perEpoch,
      steps: epochs * perEpoch,
      scoreName: 'agreement',
      settings: JSON.stringify({
        command: 'adapt',
        epochs,
        batch,
        rate,
        seed,
        scales,
        features,
        keepShadow,
        shift,
        mirror,
        pictures,
      }),
      facts: { pictures, skipped: training.skipped, architecture: network.architecture.name },
      train: (hooks) =>
        adapt(student, teacher, {
          ...hooks,
          source: training.source,
          epochs,
          batchSize: batch,
          learningRate: rate,
          featureShare: features,
          seed,
          augmentation: { shift, mirror },
          ...(options.patience === undefined ? {} : { patience: options.patience }),
          ...(validation && wanted ? { validate: agreementWith(validation.source, (n) => wanted[n]!) } : {}),
        }),
    },
    options,
    context,
  );
}
