import { quantizeNetwork } from '@dsconv/converter';
import { InvalidArgumentError } from '@dsconv/core';
import { finetune, gradually, replaceHead, type ScaleTraining, TrainableNetwork } from '@dsconv/layers';
import type { Network } from '@dsconv/models';
import { Option } from 'commander';
import { useBackend } from '../backends.js';
import type { Context, RegisterCommand } from '../context.js';
import { selectSamples } from '../data-sets/data-set.js';
import { openDataSet } from '../data-sets/index.js';
import { DataSetError } from '../errors.js';
import { openNetwork } from '../networks.js';
import { checkRange, integer, numbers, remainder, withCommonOptions } from '../options.js';
import { positive } from '../targets.js';
import { loadGradients } from '../training/gradients.js';
import { type OpenedSource, openSource, tellSkipped } from '../training/picture-source.js';
import { checkOutputs, runTraining, type TrainingCommandOptions } from '../training/run-training.js';
import { agreementWith } from '../training/scores.js';

interface FinetuneOptions extends TrainingCommandOptions {
  model: string;
  data: string;
  validate?: string;
  teacher?: string;
  epochs: number;
  bits?: number;
  block?: number;
  bitsByEpoch?: number[];
  rate: number;
  batch: number;
  scales: ScaleTraining;
  batchNorm: 'frozen' | 'restored';
  shift: number;
  mirror: boolean;
  classes?: number;
  patience?: number;
  limit?: number;
  filterMod?: { modulus: number; remainder: number };
  seed: number;
  skipBad: boolean;
}

export const registerFinetune: RegisterCommand = (program, context) => {
  const command = program
    .command('finetune')
    .description('retrain a network in few bits on labelled pictures')
    .requiredOption('--model <file|id>', 'quantized network, or a float one with --bits')
    .requiredOption('--data <dir>', 'class folders, NNNN.jpg, labels.json, CIFAR-10 *.bin or IDX files')
    .requiredOption('-o, --output <file>', 'safetensors file to write')
    .option('--validate <dir>', 'pictures to score every epoch on; the best one is kept')
    .option('--teacher <file>', 'float network whose answers are learned too (default: a float --model)')
    .option('--epochs <n>', 'times that every picture is seen', integer, 3)
    .option('--bits <n>', 'weight bits, 2 to 8, of a float model', integer)
    .option('--block <n>', 'weights along the depth that share a scale, of a float model', integer)
    .option(
      '--bits-by-epoch <list>',
      'bits of the first epoch, the second, …, such as 4,3,2; the last ones stay',
      numbers,
    )
    .option('--classes <n>', 'replace the classifier of a float model by one for a new task', integer)
    .option('--rate <number>', 'learning rate of Adam at the beginning', positive, 1e-3)
    .option('--batch <n>', 'pictures per step', integer, 64)
    .addOption(
      new Option('--scales <how>', 'what becomes of the scales')
        .choices(['fitted', 'learned', 'frozen'])
        .default('fitted'),
    )
    .addOption(
      new Option('--batch-norm <how>', 'folded as it is, or a layer of its own again')
        .choices(['frozen', 'restored'])
        .default('frozen'),
    )
    .option('--shift <pixels>', 'move pictures by up to so many pixels', integer, 0)
    .option('--mirror', 'mirror half of the pictures', false)
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
    .option('--curve <file>', 'draw the loss as SVG')
    .action((options: FinetuneOptions) => run(options, context));
  withCommonOptions(command, [
    'dsconv finetune --model resnet20.safetensors --bits 2 --block 32 --data cifar10-train.bin --validate cifar10-test.bin -o resnet20-2bit.safetensors --shift 4 --mirror',
    'dsconv finetune --model mobilenet/ --bits 4 --classes 10 --data flowers/ -o flowers.safetensors',
  ]);
};

async function run(options: FinetuneOptions, context: Context): Promise<void> {
  const { io } = context;
  const silent = options.json === true;
  checkRange('--epochs', options.epochs, 1);
  checkRange('--batch', options.batch, 1);
  checkRange('--bits', options.bits, 2, 8);
  checkRange('--block', options.block, 1);
  checkRange('--classes', options.classes, 2);
  checkRange('--shift', options.shift, 0);
  await checkOutputs(options);
  await useBackend(options, io);
  await loadGradients();
  const { network, float, teacher } = await openNetworks(options);
  const names = network.labels.length > 0 ? network.labels : null;
  const classes = { count: network.architecture.classes, names };
  const open = async (path: string, part: 'train' | 'test'): Promise<OpenedSource> => {
    const set = await openDataSet(path, classes, part);
    if (set.unlabelled !== null) {
      throw new DataSetError(`the classes of '${path}' are not known: ${set.unlabelled}`);
    }
    const samples =
      part === 'train' ? selectSamples(set.samples, options.filterMod, options.limit) : set.samples;
    const opened = await openSource(samples, network, { io, silent, skipBad: options.skipBad });
    tellSkipped(io, opened.skipped);
    return opened;
  };
  const training = await open(options.data, 'train');
  const validation = options.validate === undefined ? null : await open(options.validate, 'test');
  const { scales, batchNorm, epochs, batch, rate, seed, shift, mirror, bitsByEpoch } = options;
  const schedule = bitsByEpoch && gradually({ bits: bitsByEpoch });
  const student = new TrainableNetwork(network, { ...(float ? { float } : {}), scales, batchNorm });
  const { preprocessing } = network;
  const black = preprocessing.mean.map((mean, c) => (preprocessing.range[0] - mean) / preprocessing.std[c]!);
  const perEpoch = Math.max(1, Math.floor(training.source.count / batch));
  const pictures = training.source.count;
  await runTraining(
    {
      student,
      perEpoch,
      steps: epochs * perEpoch,
      scoreName: 'top-1',
      settings: JSON.stringify({
        command: 'finetune',
        epochs,
        batch,
        rate,
        seed,
        scales,
        batchNorm,
        shift,
        mirror,
        bitsByEpoch,
        pictures,
      }),
      facts: { pictures, skipped: training.skipped, architecture: network.architecture.name },
      train: (hooks) =>
        finetune(student, {
          ...hooks,
          source: training.source,
          epochs,
          batchSize: batch,
          learningRate: rate,
          seed,
          augmentation: { shift, mirror, fill: black },
          ...(teacher ? { teacher } : {}),
          ...(schedule ? { schedule } : {}),
          ...(options.patience === undefined ? {} : { patience: options.patience }),
          ...(validation
            ? { validate: agreementWith(validation.source, (n) => validation.source.label!(n)) }
            : {}),
        }),
    },
    options,
    context,
  );
}

/** The network that is trained, the float one it came from, and who teaches it. */
async function openNetworks(
  options: FinetuneOptions,
): Promise<{ network: Network; float: Network | null; teacher: Network | null }> {
  const { bits, block: blockSize = 64, classes } = options;
  const opened = await openNetwork(options.model);
  const given = options.teacher === undefined ? null : await openNetwork(options.teacher);
  if (opened.isQuantized) {
    const needless = { '--bits': bits, '--block': options.block, '--classes': classes };
    for (const [name, value] of Object.entries(needless)) {
      if (value !== undefined) {
        throw new InvalidArgumentError(
          `${name} is ${value} with a model that is quantized; expected a float model with it`,
        );
      }
    }
    return { network: opened, float: given, teacher: given };
  }
  if (bits === undefined) {
    throw new InvalidArgumentError(
      `--bits is missing for the float model '${options.model}'; expected 2 to 8`,
    );
  }
  const float = classes === undefined ? opened : replaceHead(opened, classes, { seed: options.seed });
  const { network } = await quantizeNetwork(float, { bits, blockSize });
  // What was never trained for these classes has nothing to teach.
  return { network, float, teacher: given ?? (classes === undefined ? float : null) };
}
