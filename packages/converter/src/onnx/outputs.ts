/** Outputs of an ONNX graph: they keep their names. */
import { FileFormatError, nearest } from '@dsconv/models';
import { typeAttribute } from '../graph/attributes.js';
import { parseReference } from '../graph/graph.js';
import type { GraphBuilder } from './builder.js';
import { permute } from './layout.js';
import type { ModelProto } from './proto.js';
import { DTYPES, type ImportOptions, nodeName, orderOf, portOf, type Signature } from './signature.js';
import type { Value } from './value.js';

/** Gives every output a node of its name. @throws FileFormatError when nothing makes an output */
export function finishOutputs(
  model: ModelProto,
  file: string,
  builder: GraphBuilder,
  values: ReadonlyMap<string, Value>,
  signature: Signature,
  options: ImportOptions,
): void {
  const { graph } = builder;
  if (model.outputs.length === 0) throw new FileFormatError(file, 'has no outputs; expected one or more');
  const laid = model.outputs.map(({ name }) => {
    const value = outputValue(name, values, file);
    const order = orderOf(value.shape, options.outputLayout);
    return { name, value, order, reference: builder.lay(value, order) };
  });
  const taken = new Set(Object.values(signature.inputs).map(({ name }) => parseReference(name).name));
  const renamed = new Map<string, string>();
  for (const { name, value, order, reference } of laid) {
    const node = nodeName(name, taken);
    taken.add(node);
    if (rename(builder, reference, node)) renamed.set(reference, node);
    else {
      // Another output of the same node may have given it its name.
      const made = reference.replace(/:\d+$/, '');
      const input = reference.replace(made, renamed.get(made) ?? made);
      graph.add({
        name: node,
        op: 'Identity',
        inputs: [input],
        attr: { T: typeAttribute(DTYPES[value.dtype]) },
      });
    }
    graph.outputs.add(node);
    signature.outputs[name] = portOf(node, value.dtype, builder.sizes(permute(value.shape, order)));
  }
}

function outputValue(name: string, values: ReadonlyMap<string, Value>, file: string): Value {
  const value = values.get(name);
  if (!value) {
    const similar = nearest(name, values.keys()).map((found) => `'${found}'`);
    throw new FileFormatError(
      file,
      `the output '${name}' is made by nothing; the nearest names are ${similar.join(', ') || 'none'}`,
    );
  }
  if (!value.quantized) return value;
  throw new FileFormatError(file, `the output '${name}' is quantized; expected DequantizeLinear before it`);
}

/** Gives the node that makes an output the output's name, unless it has other duties. */
function rename({ graph }: GraphBuilder, reference: string, wanted: string): boolean {
  const node = graph.nodes.get(reference);
  if (!node || ['Placeholder', 'Const'].includes(node.op) || graph.outputs.has(reference)) return false;
  if (graph.nodes.has(wanted)) return false;
  graph.nodes.delete(reference);
  graph.nodes.set(wanted, { ...node, name: wanted });
  for (const other of graph.nodes.values()) {
    other.inputs = other.inputs.map((input) =>
      input.replace(/:\d+$/, '') === reference ? input.replace(reference, wanted) : input,
    );
  }
  return true;
}
