import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layers, sequential } from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { GraphFiles, typed, windows } from '../../../packages/converter/test/support/graph-files.js';
import { fillWeights, saveLayers } from '../../../packages/converter/test/support/layers-files.js';
import { OnnxModel } from '../../../packages/converter/test/support/onnx/model.js';
import { dsconv, dsconvWith, temporaryFolder, writeFloat } from './support.js';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
const source = path('source');

beforeAll(() => {
  const numbers = (length: number): Float32Array =>
    Float32Array.from({ length }, (_, n) => Math.sin(n * 2.7));
  const g = new GraphFiles();
  g.placeholder('x', [-1, -1, -1, 3]);
  g.floats('stem/w', [3, 3, 3, 16], numbers(432));
  g.node('stem', 'Conv2D', ['x', 'stem/w'], windows(1, 'SAME'));
  g.node('stem/relu', 'Relu', ['stem']);
  g.floats('body/w', [3, 3, 16, 32], numbers(4608));
  g.node('body', 'Conv2D', ['stem/relu', 'body/w'], windows(1, 'SAME'));
  g.ints('axes', [1, 2]);
  g.node('y', 'Mean', ['body', 'axes'], { ...typed, keep_dims: { b: false } });
  g.write(source, 'x', 'y');
});

const convert = (...argv: string[]) => dsconv('convert', ...argv);
const SHAPE = ['--input-shape', 'x=1,8,8,3'];

describe('convert', () => {
  it('writes a model and reports what it did', async () => {
    const run = await convert(
      source,
      '-o',
      path('small'),
      ...SHAPE,
      '--bits',
      '4',
      '--layer',
      'bod*=3',
      '--json',
    );
    expect(run).toMatchObject({ code: 0, err: '' });
    const report = run.json<{
      layers: { name: string; bits: number }[];
      bytesAfter: number;
      verification: { outputs: { name: string; snrDb: number }[]; notCompared: null };
    }>();
    expect(report.layers.map(({ name, bits }) => [name, bits])).toEqual([
      ['stem/relu', 8],
      ['body', 3],
    ]);
    expect(report.verification).toMatchObject({ notCompared: null, outputs: [{ name: 'y' }] });
    const written = readdirSync(path('small'));
    expect(written).toContain('model.json');
    const sizes = written.map((name) => statSync(join(path('small'), name)).size);
    expect(sizes.reduce((a, b) => a + b)).toBe(report.bytesAfter);
  });

  it('prints a table for people and a bar on a terminal', async () => {
    const run = await dsconvWith({ isTTY: true }, 'convert', source, '-o', path('text'), ...SHAPE);
    expect(run.out).toMatch(/^body +conv2d +3×3×16×32 +8 .* dB$/m);
    expect(run.out).toMatch(/^kept {5}1 Placeholder, 1 Mean$/m);
    expect(run.out).toMatch(/^compared y: \d+\.\d dB on random inputs$/m);
    expect(run.out).toMatch(/2 convolutions at \d\.\d{3} bits per weight$/m);
    expect(run.err).toMatch(/convert [█░]{24} \d\/2/);
    const plain = await convert(source, '-o', path('text'), '--no-verify');
    expect(plain.out).toMatch(/^compared not: not asked for$/m);
  });

  it('tells errors in one sentence and writes nothing', async () => {
    const fails = async (code: number, message: RegExp, ...argv: string[]): Promise<void> => {
      const run = await convert(...argv, '-o', path('none'));
      expect(run).toMatchObject({ code, out: '', err: expect.stringMatching(message) });
      expect(existsSync(path('none'))).toBe(false);
    };
    await fails(1, /'x' has the open shape \[\?,\?,\?,3\]/, source);
    await fails(1, /'head', which fits no convolution; expected names such as/, source, '--layer', 'head=4');
    await fails(2, /Expected PATTERN=BITS/, source, '--layer', 'head');
    await fails(2, /Expected NAME=SIZES/, source, '--input-shape', 'x');
    await fails(1, /--bits is 9/, source, '--bits', '9');
    await fails(1, /absent/, path('absent'));
    await fails(1, /is not JSON/, writeFloat(path('float.safetensors')));
    mkdirSync(path('layers'));
    writeFileSync(
      join(path('layers'), 'model.json'),
      '{"modelTopology":{"model_config":{}},"weightsManifest":[]}',
    );
    await fails(1, /the topology's class_name is missing; expected one of Model/, path('layers'));
    await fails(2, /Expected two numbers/, source, '--pixels', '3');
    await fails(2, /Expected numbers separated by commas/, source, '--mean', 'a');
    await fails(2, /Expected a number from 0.01 to 1/, source, '--crop', '7');
    await fails(1, /nowhere/, source, '--calibrate', path('nowhere'));
  });

  it('takes an ONNX model by what is in the file, with channels first or last', async () => {
    const m = new OnnxModel(13);
    m.input('x', ['N', 3, 8, 8]);
    const numbers = (length: number): number[] => Array.from({ length }, (_, n) => Math.sin(n * 2.7));
    const how = [m.numbers(0.05, 'float32'), m.numbers(0, 'uint8')];
    const stem = m.node('Conv', ['x', m.constant('w', [16, 3, 3, 3], numbers(432))], {}, { name: 'stem' });
    const rounded = m.node('DequantizeLinear', [m.node('QuantizeLinear', [stem, ...how]), ...how]);
    m.output(m.node('Conv', [rounded, m.constant('v', [4, 16, 1, 1], numbers(64))], {}, { outputs: ['y'] }));
    m.output(m.node('Reshape', ['x', m.numbers([1, 192])], {}, { outputs: ['z'], name: 'flat' }));
    writeFileSync(path('network.data'), m.bytes());
    const first = await convert(path('network.data'), '-o', path('onnx-first'));
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toMatch(
      /^dropped {2}1 QuantizeLinear: rounding of activations is left to the conversion$/m,
    );
    expect(first.out).toMatch(
      /^note {5}the open batch became 1, since node 'flat' \(Reshape\) needs to know it$/m,
    );
    expect(first.out).toMatch(/^compared y: \d+\.\d dB on random inputs$/m);
    const last = await convert(path('network.data'), '-o', path('onnx-last'), '--nhwc', '--json');
    const report = last.json<{ format: string; verification: { outputs: object[] } }>();
    expect(report.format).toBe('onnx');
    expect(report.verification.outputs[0]).toMatchObject({ name: 'y', shape: [1, 6, 6, 4] });
    writeFileSync(path('cut.onnx'), m.bytes().subarray(0, 300));
    const cut = await convert(path('cut.onnx'), '-o', path('none'));
    expect(cut).toMatchObject({
      code: 1,
      err: expect.stringMatching(/cut\.onnx: the model is damaged at byte/),
    });
    expect(existsSync(path('none'))).toBe(false);
  });

  it('takes a LayersModel, and fits it on pictures in class folders whose labels do not matter', async () => {
    const model = fillWeights(
      sequential({
        layers: [
          layers.conv2d({ inputShape: [8, 8, 3], filters: 16, kernelSize: 3, name: 'stem' }),
          layers.batchNormalization({ name: 'norm' }),
          layers.reLU({ name: 'relu' }),
          layers.conv2d({ filters: 4, kernelSize: 1, name: 'head' }),
        ],
      }),
    );
    await saveLayers(model, path('layers-model'));
    for (const [n, folder] of ['cats', 'dogs'].entries()) {
      mkdirSync(path(join('animals', folder)), { recursive: true });
      for (let k = 0; k < 2; k++) {
        const data = Uint8Array.from({ length: 300 }, (_, i) => (i * (31 + 7 * n + k)) % 256);
        await sharp(data, { raw: { width: 10, height: 10, channels: 3 } })
          .png()
          .toFile(path(join('animals', folder, `${k}.png`)));
      }
    }
    const plain = await convert(path('layers-model'), '-o', path('layers-small'), '--bits', '4');
    expect(plain.out).toMatch(/^relu +conv2d +3×3×3×16 +8 .* dB$/m);
    expect(plain.out).toMatch(/^biases {3}corrected in 1 of 2 convolutions$/m);
    const run = await convert(
      path('layers-model'),
      '-o',
      path('layers-fitted'),
      ...['--bits', '4', '--calibrate', path('animals'), '--limit', '3', '--pixels', '0,1'],
    );
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/^fitted {3}on 3 pictures$/m);
    expect(run.out).toMatch(/^compared head: \d+\.\d dB on given inputs$/m);
    expect(existsSync(join(path('layers-fitted'), 'model.json'))).toBe(true);
    const { out } = await convert(path('layers-model'), '-o', path('none'), '--no-bias-correction');
    expect(out).toMatch(/^biases {3}corrected in 0 of 2 convolutions: not asked for$/m);
  });
});
