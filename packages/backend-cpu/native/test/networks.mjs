// ResNet-50 and MobileNet v1/v2 with random weights as plan descriptions: for benchmarks and tests of the addon without TensorFlow.js.
const storageOf = (bits) => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8);
const seeded = (seed) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 4294967296;
};

/** Builds steps over NHWC tensors. `format`: every tensor is rounded to the BFP grid (outputFormat), so that residuals are images too. */
export class Builder {
  constructor(
    native,
    { bits = 4, block = 64, batch = 1, size = 224, format = true, mantissa = 8, profile = false } = {},
  ) {
    Object.assign(this, { native, bits, block, batch, format, mantissa, profile });
    this.buffers = [];
    this.steps = [];
    this.random = seeded(7);
    this.filters = [];
    this.input = this.tensor(size, size, 3);
    this.f32(this.input);
  }
  tensor(h, w, c) {
    return { h, w, c, f32: null, image: null, step: null };
  }
  /** Buffer of the tensor as float32 or as an image: asked for by its readers, added to the sinks of its writer. */
  f32(t) {
    if (t.f32 === null) {
      t.f32 = this.buffers.push({ format: 'f32', length: this.batch * t.h * t.w * t.c }) - 1;
      t.step?.output.push(t.f32);
    }
    return t.f32;
  }
  image(t) {
    if (t.image === null) {
      t.image =
        this.buffers.push({
          format: 'bfp',
          pixels: this.batch * t.h * t.w,
          channels: t.c,
          groups: 1,
          block: this.block,
          mantissa: this.mantissa,
          storage: storageOf(this.bits),
          sums: false,
        }) - 1;
      t.step?.output.push(t.image);
    }
    return t.image;
  }
  step(t, step) {
    t.step = { ...step, output: [] };
    this.steps.push(t.step);
    return t;
  }
  call(x, y, k, stride, pad, activation) {
    const c = new Int32Array(32);
    c.set(
      [
        activation,
        0,
        this.mantissa,
        this.batch,
        x.h,
        x.w,
        x.c,
        y.h,
        y.w,
        k,
        k,
        stride,
        stride,
        1,
        1,
        pad,
        pad,
      ],
      7,
    );
    if (this.format) {
      c[24] = this.mantissa;
      c[25] = this.block;
    }
    c[27] = this.block;
    return c;
  }
  conv(x, out, k, stride, activation, residual) {
    const pad = k >> 1;
    const y = this.tensor(Math.ceil(x.h / stride), Math.ceil(x.w / stride), out);
    const stem = x.c < 16;
    const limit = 2 ** (this.bits - 1);
    const q = Int8Array.from(
      { length: k * k * x.c * out },
      () => Math.floor(this.random() * 2 * limit) - limit,
    );
    const blocks = k * k * Math.ceil(x.c / this.block) * out;
    const s = 1.2 / (limit * Math.sqrt(k * k * x.c));
    const scales = Float32Array.from({ length: stem ? out : blocks }, () => s * (0.5 + this.random()));
    const filter = this.native.packDSConv2d({
      bits: this.bits,
      q,
      taps: k * k,
      inDepth: x.c,
      outChannels: out,
      groups: 1,
      block: this.block,
      scales,
      perChannel: stem,
      shiftBias: null,
    });
    this.filters.push(filter);
    const bias = Float32Array.from({ length: out }, () => this.random() * 0.2 - 0.1);
    const step = {
      op: 'dsconv2d',
      filter,
      call: this.call(x, y, k, stride, pad, activation),
      input: stem ? this.f32(x) : this.image(x),
      bias,
    };
    if (residual) step.residual = this.format ? this.image(residual) : this.f32(residual);
    return this.step(y, step);
  }
  depthwise(x, stride, activation) {
    const y = this.tensor(Math.ceil(x.h / stride), Math.ceil(x.w / stride), x.c);
    const q = Int8Array.from({ length: 9 * x.c }, () => Math.floor(this.random() * 256) - 128);
    const scales = Float32Array.from({ length: x.c }, () => 0.004 * (0.5 + this.random()));
    const filter = this.native.packDSDepthwise({
      bits: 8,
      q,
      taps: 9,
      inDepth: 1,
      outChannels: x.c,
      groups: 1,
      block: this.block,
      scales,
      perChannel: true,
      shiftBias: null,
    });
    this.filters.push(filter);
    const bias = Float32Array.from({ length: x.c }, () => this.random() * 0.2 - 0.1);
    return this.step(y, {
      op: 'dsDepthwise',
      filter,
      call: this.call(x, y, 3, stride, 1, activation),
      input: this.image(x),
      bias,
    });
  }
  maxPool(x, k, stride, pad) {
    const y = this.tensor(Math.ceil(x.h / stride), Math.ceil(x.w / stride), x.c);
    const window = {
      batch: this.batch,
      inH: x.h,
      inW: x.w,
      channels: x.c,
      outH: y.h,
      outW: y.w,
      kh: k,
      kw: k,
      strideH: stride,
      strideW: stride,
      dilationH: 1,
      dilationW: 1,
      padTop: pad,
      padLeft: pad,
    };
    return this.step(y, { op: 'maxPool', input: this.f32(x), window });
  }
  mean(x) {
    const y = this.tensor(1, 1, x.c);
    return this.step(y, {
      op: 'meanHW',
      input: this.format ? this.image(x) : this.f32(x),
      batch: this.batch,
      hw: x.h * x.w,
      channels: x.c,
    });
  }
  plan(result) {
    this.f32(result);
    for (const step of this.steps) if (step.residual === undefined) delete step.residual;
    const plan = this.native.createPlan({
      buffers: this.buffers,
      steps: this.steps,
      inputs: [this.input.f32],
      outputs: [result.f32],
      profile: this.profile,
    });
    return {
      plan,
      steps: this.steps,
      x: Float32Array.from({ length: this.buffers[this.input.f32].length }, () => this.random() * 4 - 2),
      y: new Float32Array(this.buffers[result.f32].length),
    };
  }
}

export function resnet50(native, options) {
  const b = new Builder(native, options);
  // A tensor behind the stem is not quantized before the pool.
  const format = b.format;
  b.format = false;
  let x = b.conv(b.input, 64, 7, 2, 1);
  b.format = format;
  x = b.maxPool(x, 3, 2, 1);
  for (const [stage, [width, count]] of [
    [64, 3],
    [128, 4],
    [256, 6],
    [512, 3],
  ].entries()) {
    for (let n = 0; n < count; n++) {
      const stride = n || !stage ? 1 : 2;
      let y = b.conv(x, width, 1, 1, 1);
      y = b.conv(y, width, 3, stride, 1);
      const shortcut = n ? x : b.conv(x, width * 4, 1, stride, 0);
      x = b.conv(y, width * 4, 1, 1, 1, shortcut);
    }
  }
  return b.plan(b.conv(b.mean(x), 1000, 1, 1, 0));
}

export function mobilenetV1(native, options) {
  const b = new Builder(native, options);
  let x = b.conv(b.input, 32, 3, 2, 2);
  for (const [out, stride] of [
    [64, 1],
    [128, 2],
    [128, 1],
    [256, 2],
    [256, 1],
    [512, 2],
    [512, 1],
    [512, 1],
    [512, 1],
    [512, 1],
    [512, 1],
    [1024, 2],
    [1024, 1],
  ]) {
    x = b.conv(b.depthwise(x, stride, 2), out, 1, 1, 2);
  }
  return b.plan(b.conv(b.mean(x), 1000, 1, 1, 0));
}

export function mobilenetV2(native, options) {
  const b = new Builder(native, options);
  let x = b.conv(b.input, 32, 3, 2, 2);
  x = b.conv(b.depthwise(x, 1, 2), 16, 1, 1, 0);
  for (const [t, c, n, s] of [
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ]) {
    for (let i = 0; i < n; i++) {
      const stride = i ? 1 : s;
      const y = b.depthwise(b.conv(x, x.c * t, 1, 1, 2), stride, 2);
      x = b.conv(y, c, 1, 1, 0, stride === 1 && x.c === c ? x : undefined);
    }
  }
  x = b.conv(x, 1280, 1, 1, 2);
  return b.plan(b.conv(b.mean(x), 1000, 1, 1, 0));
}
