import { adapt, TrainableNetwork } from '@dsconv/layers';
import type { Network } from '@dsconv/models';
import { useBackend } from '../backends.js';
import type { Context, RegisterCommand } from '../context.js';
import { selectSamples } from '../data-sets/data-set.js';
import { openDataSet } from '../data-sets/index.js';
import { DataSetError } from '../errors.js';
import { openNetwork } from '../networks.js';
import { remainder, withCommonOptions } from '../options.js';
import { part } from '../targets.js';
import { loadGradients } from '../training/gradients.js';
import { checkTrainingOptions, type TrainingOptions, withTrainingOptions } from '../training/options.js';
import { type OpenedSource, openSource } from '../training/picture-source.js';
import { checkOutputs, runTraining } from '../training/run-training.js';
import { agreementWith, classesOf } from '../training/scores.js';

interface AdaptOptions extends TrainingOptions {
  model: string;
  teacher: string;
  pictures: string;
  features: number;
  validateMod?: { modulus: number; remainder: number };
}

export const registerAdapt: RegisterCommand = (program, context) => {
  const command = program
    .command('adapt')
    .description('bring a quantized network nearer to its float network on pictures without labels')
    .requiredOption('--model <file|id>', 'quantized network')
    .requiredOption('--teacher <file>', 'the float network')
    .requiredOption('--pictures <dir>', 'pictures like those the network is for; labels are not looked at')
    .option('--features <share>', 'weight of the feature maps against the answers, such as 50%', part, 0.5)
    .option('--mix <share>', 'put boxes of other pictures into this share of them', part, 0.5)
    .option('--validate-mod <m=r>', 'as --filter-mod, for the pictures of --validate', remainder)
    .action((options: AdaptOptions) => run(options, context));
  withTrainingOptions(command, { epochs: 4, rate: 3e-4, batch: 8 });
  withCommonOptions(command, [
    'dsconv adapt --model mobilenet-2bit.safetensors --teacher mobilenet/ --pictures photos/ -o adapted.safetensors',
  ]);
};

async function run(options: AdaptOptions, context: Context): Promise<void> {
  const { features, scales } = options;
  checkTrainingOptions(options);
  await checkOutputs(options);
  await useBackend(options, context.io);
  await loadGradients();
  const network = await openNetwork(options.model);
  const teacher = await openNetwork(options.teacher);
  const student = new TrainableNetwork(network, { scales });
  const training = await openUnlabelled(options.pictures, options, network, options, context);
  let validate: ReturnType<typeof agreementWith> | null = null;
  if (options.validate !== undefined) {
    const choice = options.validateMod ? { filterMod: options.validateMod } : {};
    const { source } = await openUnlabelled(options.validate, choice, network, options, context);
    const wanted = await classesOf(teacher, source);
    validate = agreementWith(source, (n) => wanted[n]!);
  }
  await runTraining(
    {
      student,
      training,
      scoreName: 'agreement',
      settings: { command: 'adapt', features },
      train: (call) =>
        adapt(student, teacher, { ...call, featureShare: features, ...(validate ? { validate } : {}) }),
    },
    options,
    context,
  );
}

/** @throws DataSetError when no picture passes the filter */
async function openUnlabelled(
  path: string,
  { filterMod, limit }: Pick<TrainingOptions, 'filterMod' | 'limit'>,
  network: Network,
  { json, skipBad }: TrainingOptions,
  { io }: Context,
): Promise<OpenedSource> {
  const { samples } = await openDataSet(path, null);
  const chosen = selectSamples(samples, filterMod, limit);
  if (chosen.length === 0) throw new DataSetError(`no picture of '${path}' passes the filter`);
  return openSource(chosen, network, { io, silent: json === true, skipBad });
}
