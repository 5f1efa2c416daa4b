/**
 * One engine in a process of its own, told by messages what to do. Thread pools, heaps and the JavaScript engine's compilers of several engines
 * in one process would disturb each other; like this only one process computes at a time, while the others sleep.
 */
import { commandsFor } from './commands.mjs';
import { serve } from './serve.mjs';

serve(
  commandsFor(async (task) => {
    const functions = await import(`./engines/${task.module}`);
    return functions[task.prepare](task);
  }),
);
