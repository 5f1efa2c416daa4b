/** Backends that must not be missing: `DSCONV_REQUIRE=name,name` turns a skip into a failure, so that a green run means something. */

declare const process: { env?: Record<string, string | undefined> } | undefined;

/** True when the environment variable `DSCONV_REQUIRE` lists the backend (`name`, or `name/tier` for one tier, `name/*` for all of them). */
export function isRequired(name: string): boolean {
  // A page has no environment; vitest's browser mode gives it what the configuration says as import.meta.env.
  const required =
    (typeof process === 'undefined' ? undefined : process.env?.DSCONV_REQUIRE) ??
    (import.meta as ImportMeta & { env?: Record<string, string | undefined> }).env?.DSCONV_REQUIRE;
  const all = `${name.split('/')[0]}/*`;
  return (required ?? '')
    .split(',')
    .some((entry) => entry.trim() === name || (name.includes('/') && entry.trim() === all));
}

/** The sentence for a backend that is required and missing, or null where skipping is allowed. */
export function missingRequired(name: string, reason: string): string | null {
  return isRequired(name)
    ? `backend '${name}' is required by DSCONV_REQUIRE but not available: ${reason}`
    : null;
}
