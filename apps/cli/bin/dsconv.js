#!/usr/bin/env node
try {
  const { run } = await import('../dist/index.js');
  await run(process.argv.slice(2));
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  process.stderr.write('error: dsconv is not built: run npm run build\n');
  process.exitCode = 1;
}
