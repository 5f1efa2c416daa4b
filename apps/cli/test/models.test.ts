/** `dsconv models`: the zoo, its cards, and golden logits. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DSConvFilter } from '@dsconv/core';
import { listModels, loadModel, type ModelCard, modelCard, writeNetwork } from '@dsconv/models';
import { describe, expect, it } from 'vitest';
import { dsconv, temporaryFolder } from './support.js';

const SHIPPED = 'resnet20.fashion_mnist';
const pages = resolve(import.meta.dirname, '../../../docs/models');
const data = process.env.DSCONV_DATA ?? resolve(import.meta.dirname, '../../../../shared/data');
const folder = temporaryFolder();

describe('models', () => {
  it('lists every network with size, licence and accuracy', async () => {
    const run = await dsconv('models');
    expect(run).toMatchObject({ code: 0, err: '' });
    for (const { id, weights } of listModels()) {
      expect(run.out).toMatch(new RegExp(`^${id.replaceAll('.', '\\.')} .* ${weights.licence} `, 'm'));
    }
    expect(run.out).toMatch(/^resnet50\.tv_in1k .* 25\.56 M .* 13\.7 MB +not measured/m);
    const { models } = (await dsconv('models', '--json')).json<{ models: ModelCard[] }>();
    expect(models.map(({ id }) => id)).toEqual(listModels().map(({ id }) => id));
    const { stored } = models.find(({ id }) => id === 'resnet18.tv_in1k')!;
    expect(stored.find(({ bits }) => bits === 4)!.bytes).toBeLessThan(6.7e6);
  });

  it('shows the card of one', async () => {
    const run = await dsconv('models', SHIPPED);
    expect(run.out).toContain('Apache-2.0');
    expect(run.out).toMatch(/^float32 +93\.88 % +-$/m);
    expect((await dsconv('models', 'vgg16.tv_in1k')).out).toMatch(/138,357,544.*Accuracy is not measured/s);
    const card = (await dsconv('models', SHIPPED, '--json')).json<ModelCard>();
    expect(card).toEqual(JSON.parse(JSON.stringify(await modelCard(SHIPPED))));
  });

  it('says what is near when an id is not known', async () => {
    const run = await dsconv('models', 'resnet51.tv_in1k');
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/^error: model 'resnet51\.tv_in1k' is not known; expected .*'resnet50\.tv_in1k'/);
  });
});

describe('docs/models', () => {
  it('has a page for every network and no other', () => {
    const expected = [...listModels().map(({ id }) => `${id}.md`), 'README.md'].sort();
    expect(readdirSync(pages).sort()).toEqual(expected);
  });

  it.each(['README', ...listModels().map(({ id }) => id)])(
    "%s is up to date (otherwise 'npm run model-cards' writes it)",
    async (id) => {
      const argv = id === 'README' ? ['models', '--markdown'] : ['models', id, '--markdown'];
      expect(readFileSync(join(pages, `${id}.md`), 'utf8')).toBe((await dsconv(...argv)).out);
    },
  );

  it('has every field of a model card', async () => {
    for (const { id, weights } of listModels()) {
      const text = readFileSync(join(pages, `${id}.md`), 'utf8');
      const card = await modelCard(id);
      expect(text).toContain(`Licence of the weights: ${weights.licence}.`);
      expect(text).toContain(`Source: ${card.source}.`);
      for (const { bytes, bitsPerWeight } of card.stored) {
        expect(text).toContain(`| ${bytes.toLocaleString('en-US')} | ${bitsPerWeight.toFixed(3)} |`);
      }
      expect(text).toMatch(card.accuracy.length > 0 ? /printed by `/ : /Not measured/);
      expect(text).toMatch(card.golden ? /--verify/ : /None: they need the weights/);
    }
  });
});

describe('golden logits', () => {
  it('hold for the network in the package, on every tier that is here', async () => {
    const run = await dsconv('models', SHIPPED, '--verify');
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/: the golden logits, error \S+, the same class\n$/);
    const wasm = await dsconv('models', SHIPPED, '--verify', '--json', '--backend', 'dsconv-cpu/wasm-simd');
    expect(wasm.json()).toMatchObject({ holds: true, sameSource: true, sameClass: true });
  });

  it('do not hold for a network with one wrong bias', async () => {
    const network = await loadModel(SHIPPED);
    expect(network.weights.get('linear')!.filter).toBeInstanceOf(DSConvFilter);
    network.weights.get('layer1.0.conv1')!.bias![3]! += 0.5;
    const path = join(folder, 'wrong.safetensors');
    writeFileSync(path, writeNetwork(network));
    const run = await dsconv('models', SHIPPED, '--verify', path);
    expect(run.code).toBe(1);
    expect(run.out).toMatch(/OTHER LOGITS/);
  });

  it('are not there where nobody had the weights', async () => {
    const run = await dsconv('models', 'vgg16.tv_in1k', '--verify');
    expect(run.code).toBe(2);
    expect(run.err).toMatch(/'vgg16\.tv_in1k' has no golden logits/);
    expect((await dsconv('models', '--verify')).code).toBe(2);
  });

  it.for([
    ['mobilenet_v1_0.75.keras_in1k', 'mobilenet-v1-0.75-224'],
    ['resnet20.cifar10', 'cifar-resnet20.safetensors'],
    ['resnet56.cifar10', 'cifar-resnet56.safetensors'],
  ])('hold for the float weights of %s', async ([id, file], context) => {
    const path = join(data, file!);
    context.skip(!existsSync(path), `no data: ${path} does not exist (DSCONV_DATA)`);
    const run = await dsconv('models', id!, '--verify', path, '--json');
    expect(run.json()).toMatchObject({ holds: true, sameSource: true, weights: 'float32' });
    expect(run.json<{ error: number }>().error).toBeLessThan(1e-4);
  });
});
