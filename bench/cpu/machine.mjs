/** The machine as whole networks see it: its integer instructions, and what the native tier makes of them. */
import { readFile } from 'node:fs/promises';
import * as cpu from '@dsconv/backend-cpu';
import { getDSConvBackend } from '@dsconv/core';
import { machine } from '../machine.mjs';

/** What matters to int8 products, best first, as Linux names it. */
const FLAGS = ['avx512_vnni', 'avx_vnni', 'avx512bw', 'avx2', 'asimddp', 'asimd'];

export async function cpuMachine() {
  const tiers = await getDSConvBackend(cpu.BACKEND_NAME).tiers();
  const { available, reason } = tiers.find(({ tier }) => tier === 'native');
  return {
    ...machine(),
    instructions: await instructionSets(),
    native: available ? reason : `not available: ${reason}`,
    // Billions of multiply-accumulates per second on one core, null where nothing measures them.
    peaks: available && cpu.measurePeaks ? await cpu.measurePeaks() : null,
  };
}

/** @returns {Promise<string[] | null>} null where the system does not list them */
async function instructionSets() {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1].split(' ');
  return flags ? FLAGS.filter((flag) => flags.includes(flag)) : null;
}
