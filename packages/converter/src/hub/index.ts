export { DownloadError, type DownloadProblem, OfflineError } from './errors.js';
export type { LoadEvent, OnProgress } from './events.js';
export { isCached, load } from './load.js';
export type { LoadOptions, LoadQuantization } from './options.js';
