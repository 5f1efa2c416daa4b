/** Pieces of charts: scales, ticks, text. Charts take their colours from CSS variables, so that they follow light and dark. */

/** Colours by name, for light and for dark; the series differ for every kind of colour vision. */
export const PALETTE = `
  :root { color-scheme: light dark; --paper: #ffffff; --panel: #f6f7f9; --ink: #1c2127; --soft: #5c6670; --line: #d7dce1; --a: #0b63c5; --b: #c2410c; --c: #0f766e; --fill: #0b63c522; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #14171b; --panel: #1c2126; --ink: #e8ebee; --soft: #9aa5b1; --line: #343b43; --a: #6cb2ff; --b: #ff9d66; --c: #4fd1c1; --fill: #6cb2ff2e; }
  }`;

/** Text for XML and HTML. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** For coordinates. */
export function at(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export type Scale = (value: number) => number;

/** From a range of values to a range of pixels. */
export function linear(from: number, to: number, start: number, end: number): Scale {
  const width = to - from || 1;
  return (value) => start + ((value - from) / width) * (end - start);
}

export function logarithmic(from: number, to: number, start: number, end: number): Scale {
  const scale = linear(Math.log(from), Math.log(to), start, end);
  return (value) => scale(Math.log(value));
}

/** Round numbers within a range, about `count` of them. */
export function ticks(from: number, to: number, count: number): number[] {
  const raw = (to - from) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw)!;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, n) => (first + n) * step);
}

/** Round numbers for a logarithmic scale: powers of ten, with some between them where there are few. */
export function logTicks(from: number, to: number): number[] {
  if (to < 8 * from) return ticks(from, to, 6);
  const powers: number[] = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++)
    powers.push(power);
  const digits = powers.length > 4 ? [1] : powers.length > 3 ? [1, 3] : [1, 2, 5];
  return powers
    .flatMap((power) => digits.map((digit) => digit * 10 ** power))
    .filter((value) => value >= from * 0.999 && value <= to * 1.001);
}
