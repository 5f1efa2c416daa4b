/** The peer: PyTorch on the same GPU, where python3 has it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('pytorch_resnet50.py', import.meta.url));

export function measurePyTorch({ batches, runs, modes }) {
  const args = [SCRIPT, '--batches', batches.join(), '--runs', String(runs), '--modes', modes];
  const { status, stdout, error } = spawnSync('python3', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  });
  if (error) return { missing: `python3 cannot be run: ${error.message}` };
  if (status !== 0) return { missing: `bench/cuda/pytorch_resnet50.py ended with ${status}` };
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
