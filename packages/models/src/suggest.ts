/** Up to `most` of `candidates`, those with the smallest edit distance to `word` first. */
export function nearest(word: string, candidates: Iterable<string>, most = 3): string[] {
  // Longer words cannot be near anything; cutting them keeps the work small whatever the input.
  const wanted = word.slice(0, 200).toLowerCase();
  return [...new Set(candidates)]
    .map((candidate) => ({
      candidate,
      distance: editDistance(wanted, candidate.slice(0, 200).toLowerCase()),
    }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** The nearest names as the end of a sentence: `'a', 'b' or 'c'`. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const names = nearest(word, candidates).map((name) => `'${name}'`);
  return names.length < 2 ? (names[0] ?? 'nothing') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current[j] = Math.min(substitution, previous[j]! + 1, current[j - 1]! + 1);
    }
    previous = current;
  }
  return previous[b.length]!;
}
