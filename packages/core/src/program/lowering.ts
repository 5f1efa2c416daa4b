/** What a lowering is: one TensorFlow.js kernel in the terms of a program. */
import type { TraceNode, TraceTensor, ValueId } from '../trace.js';
import type { Step, StepBase } from './program.js';

/** What a lowering may ask about the trace. */
export interface LoweringContext {
  /** Number that stands for a value, through copies. */
  resolve(tensor: TraceTensor): ValueId;
  /** Values of a constant, or null for a value that is computed. */
  constant(tensor: TraceTensor | undefined): Float32Array | null;
  /** A new value of this shape, for what goes from one step of a lowering to the next. */
  temporary(shape: readonly number[]): ValueId;
  /** Says that `output` holds the same numbers as `input`. */
  alias(output: TraceTensor, input: TraceTensor): void;
}

/** A step, several, or none where the call only renames a value. */
export type Lowering = (node: TraceNode, context: LoweringContext) => Step | Step[] | null;

/** The part that every step has. */
export function made(source: TraceNode): StepBase {
  return { output: source.outputs[0]!.value, source };
}
