/** From a trace to a program: one case per TensorFlow.js kernel. What is not here is named, and the function then runs eagerly. */
import { type Trace, TraceError, type TraceTensor, type ValueId } from '../trace.js';
import type { LoweringContext } from './lowering.js';
import { LOWERINGS } from './lowerings.js';
import type { Program, Step } from './program.js';

/** @throws TraceError naming the kernel that has no lowering, or the attribute that none covers */
export function lower(trace: Trace): Program {
  const aliases = new Map<ValueId, ValueId>();
  const constants = new Map<ValueId, Float32Array>();
  const sizes = new Map<ValueId, number>();
  const channels = new Map<ValueId, number>();
  let { valueCount } = trace;
  const resolve = ({ value }: { value: ValueId }): ValueId => {
    let at = value;
    for (let next = aliases.get(at); next !== undefined; next = aliases.get(at)) at = next;
    return at;
  };
  const context: LoweringContext = {
    resolve,
    constant(tensor) {
      if (!tensor) return null;
      const value = resolve(tensor);
      const stored = trace.constants.get(value);
      if (!stored) return null;
      let floats = constants.get(value);
      if (!floats) {
        floats = stored instanceof Float32Array ? stored : Float32Array.from(stored);
        constants.set(value, floats);
      }
      return floats;
    },
    temporary(shape) {
      const value = valueCount++;
      describe({ value, shape, dtype: 'float32' });
      return value;
    },
    alias(output, input) {
      aliases.set(output.value, resolve(input));
    },
  };
  const describe = (tensor: TraceTensor): void => {
    sizes.set(resolve(tensor), sizeOf(tensor.shape));
    channels.set(resolve(tensor), tensor.shape.at(-1) ?? 1);
  };
  const steps: Step[] = [];
  trace.inputs.forEach(describe);
  for (const node of trace.nodes) {
    const [output] = node.outputs;
    // A reshape, an identity: the output is the input's data.
    if (
      node.outputs.length === 1 &&
      Object.values(node.inputs).some(({ value }) => value === output!.value)
    ) {
      continue;
    }
    const lowering = LOWERINGS[node.kernel];
    if (!lowering) throw new TraceError(`operation ${node.kernel} is not known to plans`);
    const made = lowering(node, context);
    steps.push(...(made === null ? [] : Array.isArray(made) ? made : [made]));
    describe(output!);
  }
  const outputs = trace.outputs.map(resolve);
  const computed = new Set(steps.map(({ output }) => output));
  outputs.forEach((value, n) => {
    if (!computed.has(value))
      throw new TraceError(`output ${n} is an input or a constant; expected a computed value`);
  });
  return { steps, inputs: trace.inputs.map(resolve), outputs, sizes, channels };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, d) => product * d, 1);
}
