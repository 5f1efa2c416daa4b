/** Where the time of a plan goes, step by step. */
import { type ConvGeometry, fuse, lower, type Step, type Trace, UnsupportedError } from '@dsconv/core';
import { NativeEngine } from './native/engine.js';
import { loadNative } from './native/load.js';
import { NativeCompiledPlan } from './plan/native-plan.js';

/** One step of a plan and how long it took. */
export interface StepTime {
  /** 'convolution', 'pool', 'mean', …; 'convert' for a change between float32 and packed activations. */
  op: string;
  /** Of convolutions and poolings, else null. */
  geometry: ConvGeometry | null;
  depthwise: boolean;
  /** Multiply-accumulates, 0 where there are none. */
  macs: number;
  microseconds: number;
}

/** A plan of the native tier that measures each of its steps. */
export interface ProfiledPlan {
  /** Runs the plan once; inputs and outputs as a compiled plan's. */
  run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<StepTime[]>;
  dispose(): void;
}

/**
 * Compiles a trace that was recorded on the native tier to a plan that says where its time goes. Measuring takes well below a microsecond a step.
 *
 * @throws TraceError naming an operation that plans do not know
 * @throws UnsupportedError with the reason when the native tier is not available
 */
export async function profilePlan(trace: Trace): Promise<ProfiledPlan> {
  const native = await loadNative().catch((error: Error) => {
    throw new UnsupportedError(`only the native tier has profiles: ${error.message}`);
  });
  const plan = new NativeCompiledPlan(new NativeEngine(native), fuse(lower(trace)), true);
  const described = plan.steps.map(describe);
  return {
    async run(inputs, outputs) {
      await plan.run(inputs, outputs);
      const times = plan.profile!;
      return described.map((step, n) => ({ ...step, microseconds: times[n]! }));
    },
    dispose: () => plan.dispose(),
  };
}

function describe(step: Step | null): Omit<StepTime, 'microseconds'> {
  if (step === null) return { op: 'convert', geometry: null, depthwise: false, macs: 0 };
  const { op } = step;
  if (op === 'matMul') {
    return { op, geometry: null, depthwise: false, macs: step.batch * step.m * step.k * step.n };
  }
  if (op !== 'convolution') {
    return { op, geometry: op === 'pool' ? step.geometry : null, depthwise: false, macs: 0 };
  }
  const { geometry: g, depthwise } = step;
  const outputs = g.batch * g.outHeight * g.outWidth * g.outChannels;
  const depth = depthwise ? 1 : g.inChannels / g.groups;
  return { op, geometry: g, depthwise, macs: outputs * depth * g.kernelHeight * g.kernelWidth };
}
