/** Pieces of reports on networks, for terminals, files and pages alike: text, and SVG as strings. */
export { bytes, count, decibels, percent, plain } from './numbers.js';
export { colour, SCALE_GRADIENT, scaleColour, scaleRange } from './scale-colours.js';
export { at, escapeText, linear, logarithmic, logTicks, PALETTE, type Scale, ticks } from './svg.js';
export { weightHistogram } from './weight-histogram.js';
