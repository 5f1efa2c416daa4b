import { DSConvError } from '@dsconv/core';

/** The loss is NaN or infinite; the message names the step and the first layer whose outputs are. What was best before is kept. */
export class DivergedError extends DSConvError {
  readonly step: number;
  readonly layer: string | null;

  constructor(step: number, loss: number, layer: string | null) {
    const where =
      layer === null
        ? 'all layers still give finite numbers'
        : `layer '${layer}' is the first that gives such numbers`;
    super(
      'DIVERGED',
      `the loss is ${loss} at step ${step} (${where}); expected a finite one, as smaller learning rates give`,
    );
    this.step = step;
    this.layer = layer;
  }
}
