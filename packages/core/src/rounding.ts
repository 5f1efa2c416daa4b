/**
 * Rounds to the nearest integer, ties to the even one, as IEEE 754 hardware does. Exact for every double below 2^51 in size: adding and
 * taking away 1.5 * 2^52 leaves no room for a fraction, and the addition itself rounds half to even.
 */
export function roundHalfEven(value: number): number {
  return value + 6755399441055744 - 6755399441055744;
}
