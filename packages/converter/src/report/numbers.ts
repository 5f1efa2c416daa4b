/** Numbers as people read them. JSON never goes through here. */

/** A number for people: three digits, without an exponent where that is short. */
export function plain(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e5 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

/** `1234567` → `1.23 MB`; powers of 1000, as storage is sold. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${count} B` : `${value.toPrecision(3)} ${units[unit]}`;
}

export function percent(fraction: number | null, digits = 2): string {
  return fraction === null ? '-' : `${(fraction * 100).toFixed(digits)} %`;
}

/** `n` and the noun, with an s where English wants one. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** Decibels; a filter that is met exactly has no noise. */
export function decibels(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  return value === Infinity ? 'exact' : `${value.toFixed(1)} dB`;
}
