import { type CompiledPlan, fuse, lower, type Trace, TraceError } from '@dsconv/core';
import type { Engine } from '../engine.js';
import { NativeEngine } from '../native/engine.js';
import { WasmEngine } from '../wasm/engine.js';
import { NativeCompiledPlan } from './native-plan.js';
import { WasmCompiledPlan } from './wasm-plan.js';

/**
 * From a trace to a plan of the tier it was recorded on.
 *
 * @throws TraceError naming the operation that has no lowering, or saying that the tier has no plans
 */
export function compileTrace(engine: Engine | null, trace: Trace): CompiledPlan {
  if (engine instanceof NativeEngine) return new NativeCompiledPlan(engine, fuse(lower(trace)));
  if (engine instanceof WasmEngine) return new WasmCompiledPlan(engine, fuse(lower(trace)));
  throw new TraceError("the js tier of 'dsconv-cpu' has no plans");
}
