/** One engine in a page of its own: `benchmark(command, parameters)` is what the parent calls. */
import { webgpuCommands } from '../commands.mjs';

async function read(file) {
  const response = await fetch(`/files${file}`);
  if (!response.ok) throw new Error(`${file} gave status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const commands = webgpuCommands({ read, ortPath: '/ort/' });

globalThis.benchmark = async (command, parameters) => {
  try {
    return { result: await commands[command](parameters) };
  } catch (error) {
    return { error: error instanceof Error ? error.message.split('\n')[0] : String(error) };
  }
};
