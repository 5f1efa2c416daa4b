/** What the parts of each kind of job are. `beginJob` makes a helper's instance know what the caller's already does. */
import { beginConv, convPart } from './conv-driver';
import { roundPart } from './bfp';
import { quantizePart } from './image';
import { beginDepthwise, depthwisePart } from './depthwise';
import { beginMatmul, matmulPart, packPart, vectorPart } from './matmul';
import { meanPart, poolPart } from './pool';
import { binaryPart, scaleShiftPart, unaryPart } from './elementwise';
import {
  BINARY, CONV, DEPTHWISE, MATMUL, MATMUL_PACK, MATMUL_VECTOR, MEAN, POOL, QUANTIZE, ROUND, SCALE_SHIFT, UNARY,
} from './job-kinds';

export function beginJob(kind: i32): void {
  if (kind == CONV) beginConv();
  else if (kind == DEPTHWISE) beginDepthwise();
  else if (kind >= MATMUL) beginMatmul();
}

export function runPart(kind: i32, part: i32, parts: i32): void {
  switch (kind) {
    case CONV: { convPart(part); return; }
    case QUANTIZE: { quantizePart(part, parts); return; }
    case ROUND: { roundPart(part, parts); return; }
    case DEPTHWISE: { depthwisePart(part, parts); return; }
    case POOL: { poolPart(part, parts); return; }
    case MEAN: { meanPart(part, parts); return; }
    case BINARY: { binaryPart(part, parts); return; }
    case UNARY: { unaryPart(part, parts); return; }
    case SCALE_SHIFT: { scaleShiftPart(part, parts); return; }
    case MATMUL: { matmulPart(part, parts); return; }
    case MATMUL_PACK: { packPart(part, parts); return; }
    case MATMUL_VECTOR: { vectorPart(part, parts); return; }
  }
}
