export {
  ALL_SHIFTERS,
  type Behaviour,
  type BehaviourCase,
  type ConformanceCase,
  convolution,
  costOf,
  type DataKind,
  depthwise,
  KDS,
  type Level,
  type NumericCase,
  type OperatorCase,
  PER_CHANNEL,
  type Shifters,
  type Tier,
} from './case.js';
export { behaviourCases } from './cases/behaviour.js';
export { boundedCases } from './cases/bounded.js';
export { exactCases } from './cases/exact.js';
export { allCases } from './cases/index.js';
export { compareOutput, type Expectation, expectationOf, type Mismatch } from './compare.js';
export { type CaseData, makeData } from './data.js';
export { isRequired, missingRequired } from './require.js';
export { type CaseResult, type Guard, runCase, runCases, type Subject } from './run-case.js';
