import { FileFormatError } from '@dsconv/models';

/** A layer of a LayersModel is damaged, or nothing that can be converted. The message names file, layer and class. */
export class LayerError extends FileFormatError {
  /** Name of the layer. */
  readonly layer: string;
  /** Its class, such as `Conv2D`. */
  readonly className: string;

  /** @param problem a clause such as `has strides [0,1]; expected positive integers` */
  constructor(file: string, { name, className }: { name: string; className: string }, problem: string) {
    super(file, `layer '${name}' (${className}) ${problem}`);
    this.layer = name;
    this.className = className;
  }
}
