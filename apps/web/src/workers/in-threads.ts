/** A number of threads in words, for choices, notes and times. */
export const inThreads = (count: number): string => `${count} thread${count === 1 ? '' : 's'}`;
