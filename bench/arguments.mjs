/** Options of the benchmarks' command lines, whose lists are separated by commas. */

export const list = (value) => value.split(',').filter(Boolean);

/** @throws Error for what is no positive integer */
export function numbers(value, option) {
  return list(value).map((part) => {
    const number = Number(part);
    if (Number.isInteger(number) && number >= 1) return number;
    throw new Error(`--${option} has '${part}'; expected positive integers`);
  });
}

/** @throws Error for a name that is not among the known ones */
export function named(value, option, known) {
  return list(value).map((name) => {
    if (known.includes(name)) return name;
    throw new Error(`--${option} has '${name}'; expected ${known.join(', ')}`);
  });
}

/** Names by how they begin. @throws Error for a beginning of none */
export function namedByBeginning(value, option, known) {
  return list(value).flatMap((beginning) => {
    const found = known.filter((name) => name.startsWith(beginning));
    if (found.length > 0) return found;
    throw new Error(`--${option} has '${beginning}'; expected ${known.join(', ')}`);
  });
}

/** @throws Error where an option asks for a part of a benchmark (undefined: none does), and nothing tells where that goes */
export function needOut(part, out) {
  if (part === undefined || out !== undefined) return;
  throw new Error(`--${part} measures a part, which must not replace docs/benchmarks; expected --out too`);
}
