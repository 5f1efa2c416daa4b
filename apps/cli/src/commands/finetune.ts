import { quantizeNetwork } from '@dsconv/converter';
import { InvalidArgumentError } from '@dsconv/core';
import {
  finetune,
  freshNetwork,
  gradually,
  type OptimizerName,
  replaceHead,
  TrainableNetwork,
} from '@dsconv/layers';
import type { Network } from '@dsconv/models';
import { Option } from 'commander';
import { useBackend } from '../backends.js';
import type { Context, RegisterCommand } from '../context.js';
import { selectSamples } from '../data-sets/data-set.js';
import { openDataSet } from '../data-sets/index.js';
import { DataSetError } from '../errors.js';
import { openNetwork } from '../networks.js';
import { checkRange, integer, numbers, withCommonOptions } from '../options.js';
import { positive } from '../targets.js';
import { loadGradients } from '../training/gradients.js';
import { checkTrainingOptions, type TrainingOptions, withTrainingOptions } from '../training/options.js';
import { type OpenedSource, openSource } from '../training/picture-source.js';
import { checkOutputs, runTraining } from '../training/run-training.js';
import { agreementWith } from '../training/scores.js';

interface FinetuneOptions extends TrainingOptions {
  model: string;
  data: string;
  teacher?: string;
  bits?: number;
  block?: number;
  bitsByEpoch?: number[];
  batchNorm: 'frozen' | 'restored';
  fromScratch: boolean;
  weightDecay: number;
  optimizer: OptimizerName;
  classes?: number;
}

export const registerFinetune: RegisterCommand = (program, context) => {
  const command = program
    .command('finetune')
    .description('retrain a network in few bits on labelled pictures')
    .requiredOption('--model <file|id>', 'quantized network, or a float one with --bits')
    .requiredOption('--data <dir>', 'class folders, NNNN.jpg, labels.json, CIFAR-10 *.bin or IDX files')
    .option('--teacher <file>', 'float network whose answers are learned too (default: a float --model)')
    .option('--bits <n>', 'weight bits, 2 to 8, of a float model', integer)
    .option('--block <n>', 'weights along the depth that share a scale, of a float model', integer)
    .option(
      '--bits-by-epoch <list>',
      'bits of the first epoch, the second, …, such as 4,3,2; the last ones stay',
      numbers,
    )
    .option('--classes <n>', 'replace the classifier of a float model by one for a new task', integer)
    .option('--from-scratch', 'begin with random weights; of the model only the kind is used', false)
    .option('--weight-decay <number>', 'how fast filters shrink by themselves', positive, 0)
    .addOption(
      new Option('--optimizer <name>', 'momentum suits training from scratch, with a --rate such as 0.1')
        .choices(['adam', 'momentum'])
        .default('adam'),
    )
    .addOption(
      new Option('--batch-norm <how>', 'folded as it is, or a layer of its own again')
        .choices(['frozen', 'restored'])
        .default('frozen'),
    )
    .action((options: FinetuneOptions) => run(options, context));
  withTrainingOptions(command, { epochs: 3, rate: 3e-3, batch: 64 });
  withCommonOptions(command, [
    'dsconv finetune --model resnet20.safetensors --bits 2 --block 32 --data cifar10-train.bin --validate cifar10-test.bin -o resnet20-2bit.safetensors --mirror',
    'dsconv finetune --model mobilenet/ --bits 4 --classes 10 --data flowers/ -o flowers.safetensors',
  ]);
};

async function run(options: FinetuneOptions, context: Context): Promise<void> {
  const { io } = context;
  checkTrainingOptions(options);
  checkRange('--bits', options.bits, 2, 8);
  checkRange('--block', options.block, 1);
  checkRange('--classes', options.classes, 2);
  await checkOutputs(options);
  await useBackend(options, io);
  await loadGradients();
  const { network, float, teacher } = await openNetworks(options);
  const open = (path: string, part: 'train' | 'test') => openLabelled(path, part, network, options, context);
  const training = await open(options.data, 'train');
  const validation = options.validate === undefined ? null : (await open(options.validate, 'test')).source;
  const { scales, bitsByEpoch, weightDecay, fromScratch, optimizer } = options;
  // Random weights cannot learn without it.
  const batchNorm = fromScratch ? 'restored' : options.batchNorm;
  const schedule = bitsByEpoch && gradually({ bits: bitsByEpoch });
  const units = optimizer === 'momentum' ? 'absolute' : 'relative';
  const student = new TrainableNetwork(network, { ...(float ? { float } : {}), scales, batchNorm, units });
  const extra = {
    optimizer,
    weightDecay,
    ...(teacher ? { teacher } : {}),
    ...(schedule ? { schedule } : {}),
    ...(validation ? { validate: agreementWith(validation, (n) => validation.label!(n)) } : {}),
  };
  await runTraining(
    {
      student,
      training,
      scoreName: 'top-1',
      settings: { command: 'finetune', batchNorm, bitsByEpoch, weightDecay, fromScratch, optimizer },
      train: (call) => finetune(student, { ...call, ...extra }),
    },
    options,
    context,
  );
}

/** @throws DataSetError when the classes of the pictures are not known */
async function openLabelled(
  path: string,
  part: 'train' | 'test',
  network: Network,
  options: FinetuneOptions,
  { io }: Context,
): Promise<OpenedSource> {
  const names = network.labels.length > 0 ? network.labels : null;
  const set = await openDataSet(path, { count: network.architecture.classes, names }, part);
  if (set.unlabelled !== null) {
    throw new DataSetError(`the classes of '${path}' are not known: ${set.unlabelled}`);
  }
  const { filterMod, limit, json, skipBad } = options;
  const samples = part === 'train' ? selectSamples(set.samples, filterMod, limit) : set.samples;
  return openSource(samples, network, { io, silent: json === true, skipBad });
}

/** The network that is trained, the float one it came from, and who teaches it. */
async function openNetworks(
  options: FinetuneOptions,
): Promise<{ network: Network; float: Network | null; teacher: Network | null }> {
  const { bits, block: blockSize = 64, classes } = options;
  const opened = await openNetwork(options.model);
  const given = options.teacher === undefined ? null : await openNetwork(options.teacher);
  if (opened.isQuantized && !options.fromScratch) {
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
      `--bits is missing for '${options.model}', which is trained ${options.fromScratch ? 'from scratch' : 'from float weights'}; expected 2 to 8`,
    );
  }
  const { seed, fromScratch } = options;
  const start = fromScratch ? freshNetwork(opened, { seed }) : opened;
  const float = classes === undefined ? start : replaceHead(start, classes, { seed });
  // The float weights go on as shadow weights, so that their channels must not be scaled for rounding.
  const { network } = await quantizeNetwork(float, { bits, blockSize, rangeScaling: false });
  // What was never trained for these classes has nothing to teach.
  return { network, float, teacher: given ?? (classes === undefined && !fromScratch ? float : null) };
}
