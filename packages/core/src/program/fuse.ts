/** Fusions: what a convolution's epilogue can do beside it is not a step of its own. Results stay what they were, up to float rounding. */
import type { ValueId } from '../trace.js';
import type { BinaryStep, ConvolutionStep, Program, ScaleShiftStep, Step, UnaryStep } from './program.js';
import { readsOf } from './program.js';

/** Returns the program with residuals, batch normalization and ReLUs moved into the steps before them, and without steps nobody reads. */
export function fuse(program: Program): Program {
  const uses = countUses(program);
  const steps: Step[] = [];
  /** Where in `steps` a value is made. */
  const producers = new Map<ValueId, number>();
  const take = <T extends Step>(value: ValueId, accept: (step: Step) => step is T): T | null => {
    const at = producers.get(value);
    const step = at === undefined ? undefined : steps[at];
    return step && uses.get(value) === 1 && accept(step) ? step : null;
  };
  const replace = (old: ValueId, step: Step): void => {
    // At the end of the list, where all it reads is there.
    steps.splice(producers.get(old)!, 1);
    producers.clear();
    steps.push(step);
    steps.forEach((kept, n) => {
      producers.set(kept.output, n);
    });
  };
  for (const step of program.steps) {
    const fused = fuseInto(step, take);
    if (fused) replace(fused.old, fused.step);
    else {
      producers.set(step.output, steps.length);
      steps.push(step);
    }
  }
  return { ...program, steps: live(steps, program.outputs) };
}

type Take = <T extends Step>(value: ValueId, accept: (step: Step) => step is T) => T | null;

/** A step that does both, and the value that is no longer made. */
function fuseInto(step: Step, take: Take): { old: ValueId; step: Step } | null {
  if (step.op === 'unary') return fuseActivation(step, take);
  if (step.op === 'binary') return fuseResidual(step, take);
  return step.op === 'scaleShift' ? foldScale(step, take) : null;
}

function fuseActivation(step: UnaryStep, take: Take): { old: ValueId; step: Step } | null {
  const { code } = step;
  if (code !== 'relu' && code !== 'relu6') return null;
  const before = take(
    step.input,
    (made): made is Extract<Step, { activation: unknown }> =>
      'activation' in made &&
      made.activation === 'linear' &&
      !(made.op === 'convolution' && made.outputFormat !== null),
  );
  return before && { old: before.output, step: { ...before, activation: code, output: step.output } };
}

/** `convolution + x` with equal shapes: x becomes the residual. */
function fuseResidual(step: BinaryStep, take: Take): { old: ValueId; step: Step } | null {
  if (step.code !== 'add' || typeof step.b !== 'number' || step.period !== step.count || step.a === step.b)
    return null;
  for (const [convolved, other] of [
    [step.a, step.b],
    [step.b, step.a],
  ] as const) {
    const before = take(
      convolved,
      (made): made is ConvolutionStep =>
        made.op === 'convolution' &&
        made.activation === 'linear' &&
        made.residual === null &&
        made.outputFormat === null,
    );
    if (before) return { old: before.output, step: { ...before, residual: other, output: step.output } };
  }
  return null;
}

/** Batch normalization behind a float convolution: into its weights and bias. */
function foldScale(step: ScaleShiftStep, take: Take): { old: ValueId; step: Step } | null {
  const before = take(
    step.input,
    (made): made is ConvolutionStep & { filter: Float32Array } =>
      made.op === 'convolution' &&
      made.filter instanceof Float32Array &&
      made.activation === 'linear' &&
      made.residual === null,
  );
  if (!before) return null;
  const { scale, shift } = step;
  const filter = Float32Array.from(before.filter, (w, n) => w * scale[n % scale.length]!);
  const bias = Float32Array.from(shift, (s, o) => s + (before.bias ? before.bias[o]! * scale[o]! : 0));
  return {
    old: before.output,
    step: { ...before, filter, bias, activation: step.activation, output: step.output },
  };
}

function countUses({ steps, outputs }: Program): Map<ValueId, number> {
  const uses = new Map<ValueId, number>();
  for (const value of [...steps.flatMap(readsOf), ...outputs]) uses.set(value, (uses.get(value) ?? 0) + 1);
  return uses;
}

/** Steps whose result is read. */
function live(steps: readonly Step[], outputs: readonly ValueId[]): Step[] {
  const wanted = new Set(outputs);
  const kept = [...steps].reverse().filter((step) => {
    if (!wanted.has(step.output)) return false;
    for (const value of readsOf(step)) wanted.add(value);
    return true;
  });
  return kept.reverse();
}
