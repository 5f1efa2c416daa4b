import { InvalidArgumentError } from '@dsconv/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { getModel, type Preprocessing, preprocess, type RawImage } from '../src/index.js';

const plain: Preprocessing = {
  size: 4,
  channels: 3,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  interpolation: 'bilinear',
  antialias: true,
  range: [0, 255],
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** The definition, pixel by pixel and in no hurry: every input pixel weighted by a two-dimensional triangle around the centre. */
function slowResize(image: RawImage, spec: Preprocessing): number[] {
  const { width, height } = image;
  const side = Math.floor(spec.size / spec.resize.cropRatio);
  const keep = spec.resize.mode === 'shorterSide';
  const scaledWidth = keep && width > height ? Math.trunc((side * width) / height) : side;
  const scaledHeight = keep && height > width ? Math.trunc((side * height) / width) : side;
  const pythonRound = (v: number): number => (v % 1 === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));
  const left = pythonRound((scaledWidth - spec.size) / 2);
  const top = pythonRound((scaledHeight - spec.size) / 2);
  const triangle = (distance: number, reach: number): number => Math.max(0, 1 - Math.abs(distance) / reach);
  const out: number[] = [];
  for (let y = 0; y < spec.size; y++) {
    for (let x = 0; x < spec.size; x++) {
      const scaleX = width / scaledWidth;
      const scaleY = height / scaledHeight;
      const centreX = (x + left + 0.5) * scaleX;
      const centreY = (y + top + 0.5) * scaleY;
      for (let c = 0; c < image.channels; c++) {
        let sum = 0;
        let total = 0;
        for (let j = 0; j < height; j++) {
          for (let i = 0; i < width; i++) {
            const weight =
              triangle(i + 0.5 - centreX, spec.antialias ? Math.max(1, scaleX) : 1) *
              triangle(j + 0.5 - centreY, spec.antialias ? Math.max(1, scaleY) : 1);
            sum += weight * image.data[(j * width + i) * image.channels + c]!;
            total += weight;
          }
        }
        out.push(sum / total);
      }
    }
  }
  return out;
}

const picture = (channels: 1 | 3) =>
  fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 })).chain(([width, height]) => {
    const length = width * height * channels;
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((data): RawImage => ({ data, width, height, channels }));
  });

describe('preprocess', () => {
  it('agrees with a plain implementation of the definition', () => {
    const spec = fc.record({
      size: fc.integer({ min: 1, max: 12 }),
      mode: fc.constantFrom('shorterSide' as const, 'exact' as const),
      cropRatio: fc.constantFrom(1, 0.875, 0.5),
      antialias: fc.boolean(),
    });
    fc.assert(
      fc.property(picture(3), spec, (image, { size, mode, cropRatio, antialias }) => {
        const full: Preprocessing = { ...plain, size, resize: { mode, cropRatio }, antialias };
        const found = preprocess(image, full);
        slowResize(image, full).forEach((expected, n) => {
          expect(Math.abs(found[n]! - expected)).toBeLessThan(1e-3);
        });
      }),
    );
  });

  it('gives the numbers of PIL and torchvision', () => {
    // PIL.Image.resize((2, 2), BILINEAR) of the ramp 0, 10, …, 70 on 4×2, in float mode 'F'.
    const ramp = Uint8Array.from({ length: 8 }, (_, n) => n * 10);
    const image: RawImage = { data: ramp, width: 4, height: 2, channels: 1 };
    const spec: Preprocessing = {
      ...plain,
      channels: 1,
      size: 2,
      resize: { mode: 'exact', cropRatio: 1 },
      mean: [0],
      std: [1],
    };
    const expected = [50 / 7, 160 / 7, 330 / 7, 440 / 7];
    preprocess(image, spec).forEach((value, n) => {
      expect(value).toBeCloseTo(expected[n]!, 4);
    });
  });

  it('is the identity on pictures of the right size', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (data) => {
        expect(Array.from(preprocess({ data, width: 4, height: 4, channels: 3 }, plain))).toEqual(
          Array.from(data),
        );
      }),
    );
  });

  it('normalizes by range, mean and std', () => {
    const data = Uint8Array.of(0, 255, 51);
    const image: RawImage = { data, width: 1, height: 1, channels: 3 };
    const keras = preprocess(image, { ...getModel('mobilenet_v1_0.75.keras_in1k').preprocessing, size: 1 });
    expect(Array.from(keras)).toEqual([-1, 1, Math.fround(-0.6)].map((v) => expect.closeTo(v, 6)));
    const cifar = preprocess(image, { ...getModel('resnet20.cifar10').preprocessing, size: 1 });
    expect(cifar[0]).toBeCloseTo(-0.485 / 0.229, 5);
    expect(cifar[1]).toBeCloseTo((1 - 0.456) / 0.224, 5);
    expect(cifar[2]).toBeCloseTo((0.2 - 0.406) / 0.225, 5);
  });

  it('turns colours into luma, grey into colours, and ignores alpha', () => {
    const spec: Preprocessing = { ...plain, size: 1, channels: 1, mean: [0], std: [1] };
    const rgb = preprocess({ data: Uint8Array.of(100, 50, 200), width: 1, height: 1, channels: 3 }, spec);
    expect(rgb[0]).toBeCloseTo(0.299 * 100 + 0.587 * 50 + 0.114 * 200, 4);
    const grey: RawImage = { data: Uint8Array.of(7), width: 1, height: 1, channels: 1 };
    expect(Array.from(preprocess(grey, { ...plain, size: 1 }))).toEqual([7, 7, 7]);
    const rgba: RawImage = { data: Uint8ClampedArray.of(1, 2, 3, 0), width: 1, height: 1, channels: 4 };
    expect(Array.from(preprocess(rgba, { ...plain, size: 1 }))).toEqual([1, 2, 3]);
  });

  it('gives the order of colours that the network reads, with mean and deviation in that order', () => {
    const image: RawImage = { data: Uint8Array.of(10, 20, 30, 255), width: 1, height: 1, channels: 4 };
    const spec: Preprocessing = { ...plain, size: 1, mean: [1, 2, 3], std: [1, 2, 4] };
    expect(Array.from(preprocess(image, spec))).toEqual([9, 9, 6.75]);
    expect(Array.from(preprocess(image, { ...spec, channelOrder: 'rgb' }))).toEqual([9, 9, 6.75]);
    expect(Array.from(preprocess(image, { ...spec, channelOrder: 'bgr' }))).toEqual([29, 9, 1.75]);
  });

  it('refuses what does not fit, naming it', () => {
    const image: RawImage = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 };
    const fails = (picture: Partial<RawImage>, spec: object, message: RegExp): void => {
      const run = () => preprocess({ ...image, ...picture }, { ...plain, ...spec } as Preprocessing);
      expect(run).toThrow(InvalidArgumentError);
      expect(run).toThrow(message);
    };
    fails({ width: 2 }, {}, /image.data has 3 values; expected 6/);
    fails({ width: 0 }, {}, /image.width is 0/);
    fails({ channels: 2 as 3 }, {}, /image.channels is 2/);
    fails({}, { channelOrder: 'grb' }, /channelOrder is "grb"; expected 'rgb' or 'bgr'/);
    fails({}, { size: 0 }, /preprocessing.size is 0/);
    fails({}, { std: [1, 0, 1] }, /preprocessing.std is \[1,0,1\]/);
    fails({}, { mean: [0] }, /preprocessing.mean is \[0\]; expected 3/);
    fails({}, { resize: { mode: 'exact', cropRatio: '1' } }, /cropRatio is "1"/);
  });
});
