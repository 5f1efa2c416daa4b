/** Types of build.mjs, for tests. */

/** Why nothing can be built here, or null. */
export function emulationMissing(): string | null;

export interface EmulationOptions {
  sanitize?: boolean;
  keepGoing?: boolean;
  folder?: string;
  mutation?: { file: string; number: number } | undefined;
}

export function buildEmulation(
  options?: EmulationOptions,
): Promise<{ library: string; built: boolean; failures: { file: string; text: string }[] }>;
