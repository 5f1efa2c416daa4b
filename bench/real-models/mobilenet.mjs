/** The MobileNet of the measuring data converted as a LayersModel: agreement with the float model on photographs that were not calibrated on. */
import { tensor, tidy } from '@tensorflow/tfjs-core';
import { convertModel, writeModelFiles } from '../../packages/converter/dist/index.js';
import { getModel } from '../../packages/models/dist/index.js';
import { dataPath } from '../data.mjs';
import { photographs } from '../pictures.mjs';

const CASES = [
  { bits: 8, blockSize: 64 },
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 32, calibrated: true },
];

function classesOf(model, pictures) {
  const classes = [];
  for (let from = 0; from < pictures.length; from += 25) {
    const some = pictures.slice(from, from + 25);
    const data = new Float32Array(some.length * some[0].x.length);
    for (const [n, { x }] of some.entries()) data.set(x, n * x.length);
    const rows = tidy(() => model.predict(tensor(data, [some.length, 224, 224, 3])).arraySync());
    for (const row of rows) classes.push(row.indexOf(Math.max(...row)));
  }
  return classes;
}

/** @param load from a path, @param scratch a folder; @returns null where the data is not there */
export async function measureMobileNet(load, scratch) {
  const path = dataPath('mobilenet-v1-0.75-224');
  if (path === null || dataPath('imagenet-photos') === null) return null;
  const { preprocessing } = getModel('mobilenet_v1_0.75.keras_in1k');
  const [calibration, evaluation] = [
    await photographs(preprocessing, 2),
    await photographs(preprocessing, 0),
  ];
  const original = await load(join(path, 'model.json'));
  const expected = classesOf(original, evaluation);
  original.dispose();
  const rows = [];
  for (const { calibrated = false, ...options } of CASES) {
    const pictures = { count: calibration.length, read: async (n) => calibration[n].x };
    const { files, report } = await convertModel(path, { ...options, ...(calibrated ? { pictures } : {}) });
    const folder = join(scratch, `mobilenet-${rows.length}`);
    await writeModelFiles(folder, files);
    const converted = await load(join(folder, 'model.json'));
    const found = classesOf(converted, evaluation);
    converted.dispose();
    const share = (holds) => evaluation.filter((_, n) => holds(n)).length / evaluation.length;
    const row = {
      ...options,
      calibrationPictures: report.accuracy.pictures,
      evaluationPictures: evaluation.length,
      bytesBefore: report.bytesBefore,
      bytesAfter: report.bytesAfter,
      bitsPerWeight: report.bitsPerWeight,
      agreement: share((n) => found[n] === expected[n]),
      top1: share((n) => found[n] === evaluation[n].label),
      floatTop1: share((n) => expected[n] === evaluation[n].label),
    };
    rows.push(row);
    console.error(
      `MobileNet 0.75, LayersModel, ${row.bits} bits, ${row.calibrationPictures} pictures: agreement ${row.agreement.toFixed(3)}, top-1 ${row.top1.toFixed(3)} (float ${row.floatTop1.toFixed(3)})`,
    );
  }
  return rows;
}
