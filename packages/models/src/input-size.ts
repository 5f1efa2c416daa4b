/** Which pictures a network can read: a window, or a pooling, must not find less than itself. */
import { InvalidArgumentError } from '@dsconv/core';
import type { Architecture } from './architecture.js';
import { convolutionShapes, type PictureSize } from './convolution-shapes.js';

/** No network here needs more; the search ends there. */
const MOST = 1024;

/** @throws InvalidArgumentError naming the size, what does not fit, and the smallest square that does */
export function checkInputSize(architecture: Architecture, size: PictureSize): void {
  const problem = sizeProblem(architecture, size);
  if (problem === null) return;
  const least = smallestInputSize(architecture);
  throw new InvalidArgumentError(
    `x has pictures of ${size.height}×${size.width} pixels, too few for ${architecture.name} (${problem}); expected ${least}×${least} or more`,
  );
}

/** Side of the smallest square picture that a network reads, in pixels. */
export function smallestInputSize(architecture: Architecture): number {
  let side = 1;
  while (side < MOST && sizeProblem(architecture, { height: side, width: side }) !== null) side++;
  return side;
}

/** Why a picture of this size cannot be read, or null. */
function sizeProblem(architecture: Architecture, size: PictureSize): string | null {
  try {
    convolutionShapes(architecture, size);
    return null;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error.message;
    throw error;
  }
}
