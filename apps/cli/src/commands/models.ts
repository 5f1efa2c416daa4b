import { readFile } from 'node:fs/promises';
import { compareGolden, type Golden, goldenPicture, listModels, modelCard } from '@dsconv/models';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { EXIT_ERROR, UsageError } from '../errors.js';
import { cardPage, cardsPage } from '../model-cards/page.js';
import { cardsText, cardText } from '../model-cards/text.js';
import { openNetwork } from '../networks.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { decodePicture } from '../pictures.js';
import { logits } from '../predict.js';

interface ModelsOptions extends CommonOptions {
  markdown?: boolean;
  verify?: string | true;
}

export const registerModels: RegisterCommand = (program, context) => {
  const command = program
    .command('models')
    .description('list the networks that are known, or show the card of one: size, licence, source, accuracy')
    .argument('[id]', 'such as resnet50.tv_in1k')
    .option('--markdown', 'print Markdown')
    .option(
      '--verify [file]',
      'compute the logits of a shipped picture and compare them with the golden ones; FILE holds the float weights of a network that is not in the package',
    )
    .action((id: string | undefined, options: ModelsOptions) => models(id, options, context));
  withCommonOptions(command, [
    'dsconv models',
    'dsconv models resnet50.tv_in1k',
    'dsconv models resnet20.fashion_mnist --verify',
    'dsconv models mobilenet_v1_0.75.keras_in1k --verify mobilenet/model.json',
  ]);
};

async function models(id: string | undefined, options: ModelsOptions, context: Context): Promise<void> {
  const { io } = context;
  if (id === undefined) {
    if (options.verify !== undefined) throw new UsageError('--verify needs the id of a network');
    const cards = await Promise.all(listModels().map((entry) => modelCard(entry.id)));
    if (options.json) printJson(io, { models: cards.map(({ golden: _, ...card }) => card) });
    else io.stdout.write(options.markdown ? cardsPage(cards) : cardsText(cards));
    return;
  }
  const card = await modelCard(id);
  if (options.verify !== undefined) return verify(id, card.golden, options, context);
  if (options.json) printJson(io, card);
  else io.stdout.write(options.markdown ? cardPage(card) : cardText(card));
}

async function verify(
  id: string,
  golden: Golden | null,
  options: ModelsOptions,
  context: Context,
): Promise<void> {
  const { io } = context;
  if (golden === null) {
    throw new UsageError(`'${id}' has no golden logits: its weights were not at hand where they are made`);
  }
  await useBackend(options, io);
  const network = await openNetwork(typeof options.verify === 'string' ? options.verify : id);
  const url = goldenPicture(golden);
  const found = logits(network, await decodePicture(await readFile(url), golden.picture));
  const sameSource = network.metadata.sourceSha256 === golden.sourceSha256;
  const comparison = compareGolden(golden, found);
  network.dispose();
  if (!comparison.holds) context.exitCode = EXIT_ERROR;
  if (options.json) {
    printJson(io, { id, picture: golden.picture, weights: golden.weights, sameSource, ...comparison });
    return;
  }
  const { error, sameClass, holds } = comparison;
  io.stdout.write(
    `${id}, ${golden.weights}, ${golden.picture}: ${holds ? 'the golden logits' : 'OTHER LOGITS'}, error ${error.toExponential(1)}, ${sameClass ? 'the same' : 'another'} class${sameSource ? '' : '; the weights are of another file'}\n`,
  );
}
