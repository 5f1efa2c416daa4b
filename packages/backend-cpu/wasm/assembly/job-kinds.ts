/** Kinds of jobs, and the words of a job's record: word 0 and 1 are the kind and the number of parts, arguments follow. */
import { JOB } from './memory-map';

export const CONV: i32 = 1;
export const QUANTIZE: i32 = 2;
export const ROUND: i32 = 3;
export const DEPTHWISE: i32 = 4;
export const POOL: i32 = 5;
export const MEAN: i32 = 6;
export const BINARY: i32 = 7;
export const UNARY: i32 = 8;
export const SCALE_SHIFT: i32 = 9;
/** These begin alike. */
export const MATMUL: i32 = 10;
export const MATMUL_PACK: i32 = 11;
export const MATMUL_VECTOR: i32 = 12;

// @ts-ignore: decorator
@inline export function setArg<T>(n: i32, value: T): void { store<T>(JOB + 8 + (<usize>n << 2), value); }
// @ts-ignore: decorator
@inline export function arg<T>(n: i32): T { return load<T>(JOB + 8 + (<usize>n << 2)); }
