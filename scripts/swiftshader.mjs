/** `node --import ./scripts/swiftshader.mjs PROGRAM`: a program that uses Dawn finds SwiftShader. Without one the exit code is 77. */
import { chooseSwiftShader } from './dawn.mjs';

const reason = chooseSwiftShader();
if (reason) {
  console.error(reason);
  process.exit(77);
}
