/** The child's end of child.mjs: answers each message of the parent by one of its own. */

/** @param {ReturnType<import('./commands.mjs').commandsFor>} commands */
export function serve(commands) {
  process.on('message', async ({ command, ...parameters }) => {
    try {
      process.send({ result: await commands[command](parameters) });
    } catch (error) {
      process.send({ error: error instanceof Error ? error.message.split('\n')[0] : String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
}
