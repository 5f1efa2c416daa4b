/** Text for people: tables, bytes, percentages. JSON never goes through here. */

/** A cell is printed as it is; numbers are formatted by the caller. Columns of `right` are aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[],
): string {
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width));
  return `${[line(head), line(rule), ...rows.map(line)].join('\n')}\n`;
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
