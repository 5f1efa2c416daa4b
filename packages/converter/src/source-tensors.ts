/** Tensors of a source framework as float32, taken by name with everything checked on the way. */
import { NotFiniteError } from '@dsconv/core';
import { FileFormatError, nearest } from '@dsconv/models';

export interface SourceTensor {
  shape: readonly number[];
  /** Row-major. */
  data: Float32Array;
}

/** The tensors of one source; remembers which were taken. */
export class SourceTensors {
  private readonly taken = new Set<string>();

  /** @param source name of the file, for errors */
  constructor(
    private readonly tensors: ReadonlyMap<string, SourceTensor>,
    private readonly source: string,
  ) {}

  /**
   * @throws FileFormatError when the tensor is missing (with the nearest names) or has another shape
   * @throws NotFiniteError naming the index of a NaN or infinite value
   */
  take(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.tensors.get(name);
    if (!tensor) {
      const similar = nearest(name, this.tensors.keys());
      const hint = similar.length > 0 ? `; the nearest names are ${similar.map(quote).join(', ')}` : '';
      throw new FileFormatError(this.source, `tensor '${name}' is missing; expected shape [${shape}]${hint}`);
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new FileFormatError(
        this.source,
        `tensor '${name}' has shape [${tensor.shape}]; expected [${shape}]`,
      );
    }
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new NotFiniteError(
        `${this.source}: '${name}'[${bad}] is ${tensor.data[bad]}; expected a finite number`,
      );
    }
    this.taken.add(name);
    return tensor.data;
  }

  /**
   * @throws FileFormatError when a tensor was never taken (with the nearest names that were): the file then holds another network than the one
   * it was read as
   */
  checkAllTaken(architecture: string): void {
    for (const name of this.tensors.keys()) {
      if (this.taken.has(name)) continue;
      const similar = nearest(name, this.taken).map(quote).join(', ');
      throw new FileFormatError(
        this.source,
        `tensor '${name}' is not part of ${architecture}, whose nearest names are ${similar}; expected only its layers`,
      );
    }
  }
}

const quote = (name: string): string => `'${name}'`;
