import { FileFormatError } from '@dsconv/models';

/** A node of a graph is damaged, or nothing that can be converted. The message names file, node and operator. */
export class NodeError extends FileFormatError {
  /** Name of the node. */
  readonly node: string;
  /** Its operator, such as `Conv2D`. */
  readonly op: string;

  /** @param problem a clause such as `has 3 inputs; expected 2` */
  constructor(file: string, { name, op }: { name: string; op: string }, problem: string) {
    super(file, `node '${name}' (${op}) ${problem}`);
    this.node = name;
    this.op = op;
  }
}
