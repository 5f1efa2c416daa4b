/**
 * `npm run bench:zoo`: every network of the zoo, size and latency, into docs/benchmarks/zoo.json and zoo.md. After `npm run build`; some minutes.
 *
 *     npm run bench:zoo
 *     npm run bench:zoo -- resnet18 squeezenet1_1      some networks, printed only
 */
import { fork } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createArchitecture, listModels, modelCard } from '@dsconv/models';
import { machine } from './machine.mjs';
import { zooMarkdown } from './zoo/markdown.mjs';

const OUT = new URL('../docs/benchmarks/', import.meta.url);
const WORKER = fileURLToPath(new URL('zoo/worker.mjs', import.meta.url));

const cards = await cardsByArchitecture();
const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (cards.has(name)) continue;
  console.error(`error: '${name}' is no network; expected ${[...cards.keys()].join(', ')}`);
  process.exit(2);
}

const started = performance.now();
const rows = [];
const loadBefore = loadavg()[0];
for (const [name, card] of cards) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { id, parameters, macs, stored, architecture } = card;
  const measured = await inChild(architecture);
  rows.push({ name, id, parameters: parameters.trainable, macs, input: architecture, stored, ...measured });
  console.error(line(rows.at(-1)));
}
const seconds = Math.round((performance.now() - started) / 1000);
const result = { machine: { ...machine(), loadBefore, loadAfter: loadavg()[0] }, seconds, rows };
if (wanted.length > 0) {
  console.log(JSON.stringify(result, null, 1));
} else {
  await mkdir(OUT, { recursive: true });
  await writeFile(new URL('zoo.json', OUT), `${JSON.stringify(result, null, 1)}\n`);
  await writeFile(new URL('zoo.md', OUT), zooMarkdown(result));
  console.error(`wrote docs/benchmarks/zoo.json and zoo.md in ${seconds} s`);
}

/** One card for each architecture and input; speed does not depend on who trained it. */
async function cardsByArchitecture() {
  const found = new Map();
  for (const { id, architecture } of listModels()) {
    const { name } = createArchitecture(architecture);
    const key = architecture.channels === 3 ? name : `${name}-grey`;
    if (!found.has(key)) found.set(key, await modelCard(id));
  }
  return found;
}

/** A process for each network, so that none measures another's heaps. */
function inChild(architecture) {
  return new Promise((resolve, reject) => {
    const child = fork(WORKER, [JSON.stringify(architecture)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let answer = null;
    child.on('message', (message) => {
      answer = message;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (answer && !answer.error) resolve(answer);
      else
        reject(
          new Error(
            `${architecture.name}: ${answer?.error ?? `ended with ${signal ?? `exit code ${code}`}`}`,
          ),
        );
    });
  });
}

function line({ name, engines }) {
  const parts = Object.entries(engines).map(([engine, { medianMs, medianCpuMs, note }]) => {
    return `${engine} ${medianMs === null ? note : `${medianMs.toFixed(2)} ms (${medianCpuMs.toFixed(2)})`}`;
  });
  return `${name.padEnd(18)} ${parts.join(', ')}`;
}
