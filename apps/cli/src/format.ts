/** Text for people. JSON never goes through here. */
export { bytes, count, decibels, percent } from '@dsconv/converter/report';

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
