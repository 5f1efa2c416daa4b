import { engine } from '@tensorflow/tfjs-core';

/** `tf.tidy` for functions that return something else than tensors: every tensor but variables and kept ones is disposed of. */
export function scoped<T>(body: () => T): T {
  engine().startScope();
  try {
    return body();
  } finally {
    engine().endScope();
  }
}
