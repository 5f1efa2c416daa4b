/** An object of parsed JSON, nothing known of its fields. */
export type JsonRecord = { readonly [key: string]: unknown };

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON value for a message, cut short. */
export function text(value: unknown, most = 80): string {
  if (value === undefined) return 'missing';
  const json = JSON.stringify(value);
  return json.length <= most ? json : `${json.slice(0, most)}…`;
}
