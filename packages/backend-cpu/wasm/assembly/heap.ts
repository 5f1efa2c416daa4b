/**
 * The module's own heap: boundary tags, free lists by power of two, neighbours merged on free.
 *
 * AssemblyScript's TLSF traps when the memory cannot grow and refuses blocks of 1 GiB; tensors need neither.
 *
 * Block: [size | used u32][size of the block before u32][8 bytes unused][payload …], all multiples of 16.
 * A free block keeps its list links (next, previous) in its payload. Blocks tile [BASE, top) without gaps; the space
 * between top and the end of the memory is free and has no header. The last SLACK bytes of the memory are never given
 * away, so that kernels may read (not write) up to SLACK bytes beyond the end of any block.
 */
import { HEADS as heads } from './memory-map';

const HEADER: usize = 16;
const MIN_BLOCK: usize = 32;
const SLACK: u64 = 256;
const CLASSES: i32 = 32;

const BASE: usize = (__heap_base + 15) & ~15;
let top: usize = BASE;
let lastSize: usize = 0;
let used: usize = 0;

// @ts-ignore: decorator
@inline function sizeOf(block: usize): usize { return load<u32>(block) & ~15; }
// @ts-ignore: decorator
@inline function classOf(size: usize): i32 { return 31 - clz<u32>(<u32>size); }
// @ts-ignore: decorator
@inline function nextOf(block: usize): usize { return load<u32>(block, 16); }
// @ts-ignore: decorator
@inline function prevOf(block: usize): usize { return load<u32>(block, 20); }

function unlink(block: usize): void {
  const next = nextOf(block), prev = prevOf(block);
  if (next) store<u32>(next, prev, 20);
  if (prev) store<u32>(prev, next, 16);
  else store<u32>(heads + (classOf(sizeOf(block)) << 2), next);
}

function link(block: usize): void {
  const head = heads + (classOf(sizeOf(block)) << 2);
  const next = <usize>load<u32>(head);
  store<u32>(block, next, 16);
  store<u32>(block, 0, 20);
  if (next) store<u32>(next, block, 20);
  store<u32>(head, block);
}

/** Marks [block, block + size) used, giving the rest of a free block of `whole` bytes back to the lists. */
function take(block: usize, whole: usize, size: usize): usize {
  unlink(block);
  const rest = whole - size;
  if (rest >= MIN_BLOCK) {
    const tail = block + size;
    store<u32>(tail, rest);
    store<u32>(tail, size, 4);
    const after = tail + rest;
    if (after < top) store<u32>(after, rest, 4);
    else lastSize = rest;
    link(tail);
  } else {
    size = whole;
  }
  store<u32>(block, size | 1);
  used += size;
  return block + HEADER;
}

export function alloc(bytes: usize): usize {
  if (bytes == 0 || bytes > 0xffff0000) return 0;
  const size = (bytes + HEADER + 15) & ~15;
  for (let c = classOf(size); c < CLASSES; c++) {
    let block: usize = load<u32>(heads + (c << 2));
    while (block) {
      const whole = sizeOf(block);
      if (whole >= size) return take(block, whole, size);
      block = nextOf(block);
    }
  }
  const need = <u64>top + <u64>size + SLACK;
  const have = <u64>memory.size() << 16;
  if (need > have) {
    const pages = <i32>((need - have + 0xffff) >> 16);
    // A little more than needed, so that a series of small tensors does not detach the JavaScript views each time.
    if (memory.grow(max(pages, 16)) < 0 && memory.grow(pages) < 0) return 0;
  }
  const block = top;
  store<u32>(block, size | 1);
  store<u32>(block, lastSize, 4);
  top += size;
  lastSize = size;
  used += size;
  return block + HEADER;
}

export function free(ptr: usize): void {
  if (!ptr) return;
  let block = ptr - HEADER;
  let size = sizeOf(block);
  used -= size;
  const after = block + size;
  if (after < top && !(load<u32>(after) & 1)) {
    unlink(after);
    size += sizeOf(after);
  }
  const before = <usize>load<u32>(block, 4);
  if (before && !(load<u32>(block - before) & 1)) {
    block -= before;
    unlink(block);
    size += before;
  }
  if (block + size == top) {
    top = block;
    lastSize = load<u32>(block, 4);
    return;
  }
  store<u32>(block, size);
  store<u32>(block + size, size, 4);
  link(block);
}

export function heap_used(): usize { return used; }
