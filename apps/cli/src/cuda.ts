/** The backend `dsconv-cuda`, where its package is installed beside this command: it builds an addon, which those without a GPU can do without. */
import { oneLine } from './errors.js';

export const CUDA = 'dsconv-cuda';

const PACKAGE = '@dsconv/backend-cuda';

/** Makes the backend known. @returns null, or in one sentence what is not installed */
export async function provideCuda(): Promise<string | null> {
  try {
    await import(PACKAGE);
    return null;
  } catch (error) {
    const why = error instanceof Error ? oneLine(error.message) : String(error);
    return `it needs the package ${PACKAGE} beside this command, which can be installed by 'npm install ${PACKAGE}' (${why})`;
  }
}
