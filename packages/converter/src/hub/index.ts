export { DownloadError, type DownloadProblem, OfflineError } from './errors.js';
export type { LoadEvent, OnProgress } from './events.js';
export { isCached, load, loadFloat } from './load.js';
export type { LoadOptions, LoadQuantization } from './options.js';
