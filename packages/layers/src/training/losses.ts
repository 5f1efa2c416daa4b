/** What training makes small. All are means over the batch. */
import {
  add,
  addN,
  cast,
  div,
  log,
  logSoftmax,
  mean,
  mul,
  neg,
  oneHot,
  type Scalar,
  softmax,
  square,
  squaredDifference,
  sub,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  tidy,
} from '@tensorflow/tfjs-core';

/** Cross-entropy with the classes given. */
export function labelLoss(logits: Tensor2D, labels: Tensor1D, smoothing = 0): Scalar {
  const classes = logits.shape[1];
  // TensorFlow.js's WebAssembly backend knows integers alone: asked for floats, it gives the integers' bits.
  const chosen = cast(oneHot(labels, classes), 'float32');
  const hard = smoothing === 0 ? chosen : add(mul(chosen, 1 - smoothing), smoothing / classes);
  return mean(neg(sum(mul(hard, logSoftmax(logits)), -1))) as Scalar;
}

/**
 * How far the student's classes are from the teacher's: the Kullback-Leibler divergence of their softmax at a temperature, times its square, so that the gradient keeps
 * its size (Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2).
 */
export function logitLoss(student: Tensor2D, teacher: Tensor2D, temperature = 1): Scalar {
  const wanted = softmax(mul(teacher, 1 / temperature)) as Tensor2D;
  const known = tidy(() => sum(mul(wanted, log(add(wanted, 1e-12))), -1));
  const cross = sum(mul(wanted, logSoftmax(mul(student, 1 / temperature) as Tensor2D)), -1);
  return mul(mean(sub(known, cross)), temperature ** 2) as Scalar;
}

/** Mean squared difference of feature maps, as a share of the teacher's mean square: layers of any size count alike. */
export function featureLoss(student: readonly Tensor4D[], teacher: readonly Tensor4D[]): Scalar {
  const parts = student.map((features, n) => {
    const wanted = teacher[n]!;
    const size = add(mean(square(wanted)), 1e-8);
    return div(mean(squaredDifference(features, wanted)), size);
  });
  return mul(addN(parts), 1 / parts.length) as Scalar;
}
