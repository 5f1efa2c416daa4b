// Whole networks as plans against onnxruntime int8, interleaved: node bench_plan.mjs [--network resnet50] [--threads 1] [--batch 1] [--bits 4]
// [--block 64] [--float-residuals] [--rounds 15] [--ort FOLDER] [--profile]
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import * as networks from './networks.mjs';
import { loadOrt, ortSession } from './ort_networks.mjs';

const { values: o } = parseArgs({
  options: {
    network: { type: 'string', default: 'resnet50' },
    threads: { type: 'string', default: '1' },
    batch: { type: 'string', default: '1' },
    bits: { type: 'string', default: '4' },
    block: { type: 'string', default: '64' },
    'float-residuals': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '15' },
    ort: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
});
const native = createRequire(import.meta.url)('../build/Release/dsconv_cpu.node');
native.setThreads(+o.threads);
const built = networks[o.network](native, {
  bits: +o.bits,
  block: +o.block,
  batch: +o.batch,
  format: !o['float-residuals'],
  profile: o.profile,
});
const ours = () => built.plan.run([built.x], [built.y]);
const peer = o.ort ? await ortSession(await loadOrt(o.ort), o.network, +o.threads, +o.batch) : null;
for (let n = 0; n < 4; n++) {
  await ours();
  if (peer) await peer();
}
const times = { ours: [], peer: [] };
for (let n = 0; n < +o.rounds; n++) {
  for (const [name, run] of [
    ['ours', ours],
    ['peer', peer],
  ]) {
    if (!run) continue;
    for (let k = 0; k < 3; k++) {
      const t = performance.now();
      await run();
      times[name].push(performance.now() - t);
    }
  }
}
const summary = (t) => {
  t.sort((a, b) => a - b);
  return { median: t[t.length >> 1], least: t[0] };
};
const a = summary(times.ours);
console.log(
  `${o.network} ${native.isa} threads ${o.threads} batch ${o.batch} ${o.bits} bits B=${o.block}: ${a.median.toFixed(2)} ms (least ${a.least.toFixed(2)}), arena ${(built.plan.arenaBytes / 1e6).toFixed(2)} MB of ${(built.plan.liveBytes / 1e6).toFixed(2)} live`,
);
if (peer) {
  const b = summary(times.peer);
  console.log(
    `  onnxruntime int8 ${b.median.toFixed(2)} ms (least ${b.least.toFixed(2)}); ratio of medians ${(a.median / b.median).toFixed(3)}, of the least ${(a.least / b.least).toFixed(3)}`,
  );
}
if (o.profile) {
  const micros = built.plan.profile;
  built.steps.forEach((s, n) => {
    const c = s.call;
    const macs = c && s.op === 'dsconv2d' ? c[10] * c[14] * c[15] * c[16] * c[17] * c[13] * s.bias.length : 0;
    const shape = c
      ? `${c[11]}x${c[12]}x${c[13]} -> ${c[14]}x${c[15]}x${s.bias.length} k${c[16]}/${c[18]}`
      : '';
    console.log(
      `${String(n).padStart(3)} ${s.op.padEnd(12)} ${micros[n].toFixed(1).padStart(8)} us ${macs ? (macs / micros[n] / 1e3).toFixed(0).padStart(5) + ' GMAC/s' : ''.padStart(12)} ${shape}`,
    );
  });
}
