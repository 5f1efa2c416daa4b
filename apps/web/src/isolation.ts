/** Browsers share memory, which threads need, only with pages that nothing of another origin can look into: those with these headers. */
export const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
