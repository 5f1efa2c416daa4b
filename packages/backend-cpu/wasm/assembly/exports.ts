/** What both modules export (src/wasm/interface.ts). */
export { alloc, free, heap_used } from './heap';
export { bfp_round } from './bfp';
export { bfp_image_bytes, bfp_image_kind, bfp_quantize } from './image';
export { ds_pack, ds_pack_bytes } from './pack';
export { conv2d, conv2d_pack, conv2d_pack_bytes, dsconv2d } from './conv';
export { ds_depthwise_pack, ds_depthwise_pack_bytes } from './depthwise-pack';
export { depthwise, ds_depthwise } from './depthwise';
export { matmul } from './matmul';
export { avg_pool, max_pool, mean_hw } from './pool';
export { binary, scale_shift, unary } from './elementwise';
