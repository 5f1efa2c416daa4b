/** What a plan keeps on the GPU beside its activations. */
import { type ConvolutionStep, DSConvFilter } from '@dsconv/core';
import type { FloatFilter, GpuState, PackedFilter } from '../gpu/state.js';
import { floatQuads } from '../layout/pack-filter.js';

export class PlanWeights {
  /** Packings that eager kernels and other plans use too. */
  private readonly held: (PackedFilter | FloatFilter)[] = [];
  /** Buffers of this plan alone. */
  private readonly own: GPUBuffer[] = [];

  constructor(private readonly state: GpuState) {}

  /** Uploads a constant such as a bias. */
  constant(values: Float32Array): GPUBuffer {
    const buffer = this.state.buffers.storage(values as Float32Array<ArrayBuffer>, 'a constant of a plan');
    this.own.push(buffer);
    return buffer;
  }

  /** A convolution's filter, which stays while the plan lives, whoever disposes of it. */
  filter({ filter, geometry: g, depthwise, activationBits }: ConvolutionStep): PackedFilter | FloatFilter {
    const { state } = this;
    if (!(filter instanceof DSConvFilter)) {
      const quads = floatQuads(filter, g.outChannels, depthwise ? 1 : g.groups);
      return { weights: this.constant(quads), holders: 1 };
    }
    const packed = state.filter(filter, g.groups, activationBits);
    packed.holders++;
    this.held.push(packed);
    return packed;
  }

  free(): void {
    this.state.free(this.own.splice(0));
    for (const filter of this.held.splice(0)) this.state.release(filter);
  }
}
