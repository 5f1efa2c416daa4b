/** One engine in a Node process of its own, on Dawn. */
import { readFile } from 'node:fs/promises';
import { provideDawn } from '../../scripts/dawn.mjs';
import { serve } from '../cpu/serve.mjs';
import { webgpuCommands } from './commands.mjs';

const reason = await provideDawn(process.env.DSCONV_WEBGPU_ADAPTER ?? 'any');
const commands = webgpuCommands({ read: readFile, ortPath: null });

const refused = async () => {
  throw new Error(reason);
};
serve(reason ? { prepare: refused, adapter: refused } : commands);
