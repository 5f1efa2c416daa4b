/** Guard words around everything that the native tier computes: a `Guard` for the conformance suite. */
import type { DSConvCpuBackend } from '@dsconv/backend-cpu';
import type { Guard } from '@dsconv/conformance';
import * as tf from '@tensorflow/tfjs-core';
import { TensorEntry } from '../src/tensor-entry.js';

const WORDS = 64;
/** A NaN's payload that no computation produces. */
const PATTERN = 0x7fb1_2c3d;

/** Makes the current backend's engine hand out outputs inside larger arrays, whose borders are looked at after each case. */
export function guardAllocations(): Guard & { guarded: number } {
  let watched: Uint32Array[] = [];
  const patched = new WeakSet<object>();
  const guard = {
    /** Outputs that were watched so far. */
    guarded: 0,
    arm() {
      watched = [];
      const engine = (tf.backend() as DSConvCpuBackend).engine!;
      if (patched.has(engine)) return;
      patched.add(engine);
      engine.allocate = (length) => {
        const words = new Uint32Array(length + 2 * WORDS).fill(PATTERN);
        watched.push(words);
        guard.guarded++;
        const inside = new Float32Array(words.buffer, 4 * WORDS, length);
        return new TensorEntry(null, inside, 'float32', 1);
      };
    },
    check() {
      for (const words of watched) {
        for (let n = 0; n < WORDS; n++) {
          if (words[n] !== PATTERN) return `guard word ${WORDS - n} before an output was overwritten`;
          if (words[words.length - WORDS + n] !== PATTERN)
            return `guard word ${n + 1} behind an output was overwritten`;
        }
      }
      return null;
    },
  };
  return guard;
}
