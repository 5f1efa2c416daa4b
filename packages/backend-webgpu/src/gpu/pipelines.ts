/** Pipelines of one device, compiled once each. */
import { UnsupportedError } from '@dsconv/core';
import type { Variant } from './variants.js';

/** Called after each pipeline of those that were asked for. */
export type CompileProgress = (done: number, total: number, variant: string) => void;

const READ = 'read-only-storage';
const WRITE = 'storage';

/** Bindings behind the uniform block, in order (output.wgsl, bfp_quantize.wgsl, step.wgsl). */
const BINDINGS = {
  call: [READ, READ, READ, READ, READ, READ, WRITE, WRITE],
  rows: [READ, WRITE, WRITE],
  step: [READ, READ, READ, WRITE],
} as const;

export class Pipelines {
  private readonly layouts = new Map<Variant['layout'], GPUBindGroupLayout>();
  private readonly modules = new Map<string, GPUShaderModule>();
  private readonly pipelines = new Map<string, GPUComputePipeline>();
  private readonly pending = new Map<string, Promise<void>>();

  constructor(private readonly device: GPUDevice) {}

  /** Bind group layouts are explicit, since an automatic one leaves out what a specialization does not use. */
  layout(name: Variant['layout']): GPUBindGroupLayout {
    let layout = this.layouts.get(name);
    if (!layout) {
      const buffers: GPUBufferBindingLayout[] = [
        { type: 'uniform' },
        ...BINDINGS[name].map((type) => ({ type })),
      ];
      layout = this.device.createBindGroupLayout({
        label: `dsconv ${name}`,
        entries: buffers.map((buffer, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer })),
      });
      this.layouts.set(name, layout);
    }
    return layout;
  }

  /** The pipeline, compiled now if `prepare` did not. */
  get(variant: Variant): GPUComputePipeline {
    let pipeline = this.pipelines.get(variant.key);
    if (!pipeline) {
      pipeline = this.device.createComputePipeline(this.describe(variant));
      this.pipelines.set(variant.key, pipeline);
    }
    return pipeline;
  }

  /**
   * Compiles pipelines beside the event loop.
   *
   * @throws UnsupportedError with the compiler's message when one does not compile
   */
  async prepare(variants: readonly Variant[], onProgress?: CompileProgress): Promise<void> {
    const missing = variants.filter(({ key }, n) => variants.findIndex((other) => other.key === key) === n);
    let done = 0;
    await Promise.all(
      missing.map(async (variant) => {
        await this.compile(variant);
        onProgress?.(++done, missing.length, variant.key);
      }),
    );
  }

  private compile(variant: Variant): Promise<void> {
    const { key } = variant;
    if (this.pipelines.has(key)) return Promise.resolve();
    let pending = this.pending.get(key);
    if (!pending) {
      pending = this.device.createComputePipelineAsync(this.describe(variant)).then(
        (pipeline) => void this.pipelines.set(key, pipeline),
        (error: Error) => {
          const [reason] = error.message.split('\n');
          throw new UnsupportedError(`shader '${key}' does not compile: ${reason}`);
        },
      );
      this.pending.set(key, pending);
    }
    return pending;
  }

  private describe({ key, code, constants, layout }: Variant): GPUComputePipelineDescriptor {
    let module = this.modules.get(code);
    if (!module) {
      module = this.device.createShaderModule({ label: `dsconv ${key}`, code });
      this.modules.set(code, module);
    }
    return {
      label: `dsconv ${key}`,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [this.layout(layout)] }),
      compute: { module, entryPoint: 'main', constants },
    };
  }
}
