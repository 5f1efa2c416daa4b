import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { registerAdapt } from './commands/adapt.js';
import { registerBench } from './commands/bench.js';
import { registerClassify } from './commands/classify.js';
import { registerConvert } from './commands/convert.js';
import { registerDoctor } from './commands/doctor.js';
import { registerEval } from './commands/eval.js';
import { registerFinetune } from './commands/finetune.js';
import { registerInspect } from './commands/inspect.js';
import { registerModels } from './commands/models.js';
import { registerQuantize } from './commands/quantize.js';
import type { Context } from './context.js';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** The command line of `dsconv`. It throws instead of ending the process, and prints through the context's streams. */
export function createProgram(context: Context): Command {
  const program = new Command('dsconv')
    .description(
      'Smaller and faster convolutional networks for TensorFlow.js: quantize, run and measure them.',
    )
    .version(version)
    .showSuggestionAfterError()
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => context.io.stdout.write(text),
      writeErr: (text) => context.io.stderr.write(text),
      // Errors are printed by `main`, in one form.
      outputError: () => {},
      getOutHelpWidth: () => context.io.stdout.columns ?? 100,
      getErrHelpWidth: () => context.io.stderr.columns ?? 100,
    })
    .exitOverride()
    .addHelpText(
      'after',
      `
Exit codes: 0 fine, 1 an error, 2 wrong usage, 130 interrupted.
DSCONV_CPU_TIER forces a tier of the CPU backend; DSCONV_DEBUG=1 shows where an error came from. Networks of the zoo are
downloaded when first used: DSCONV_CACHE is the folder they are kept in, DSCONV_HUB a mirror to take them from.`,
    );
  for (const register of [
    registerQuantize,
    registerConvert,
    registerClassify,
    registerEval,
    registerFinetune,
    registerAdapt,
    registerInspect,
    registerModels,
    registerDoctor,
    registerBench,
  ]) {
    register(program, context);
  }
  return program;
}

/** True for the exceptions by which commander ends after `--help` and `--version`. */
export function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0;
}
