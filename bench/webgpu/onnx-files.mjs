/** The ONNX models of a network beside its other files, made once for all runtimes. */
import { writeFile } from 'node:fs/promises';
import { readOperations } from '../cpu/engines/ort.mjs';
import { floatGraph } from '../cpu/onnx/float-graph.mjs';

/**
 * @param {string} float path of the float network
 * @param {number} batch
 * @returns {Promise<{ onnx: string, onnx16: string }>} paths: float32, and float16 with float32 inputs and outputs
 */
export async function writeOnnx(float, batch) {
  const operations = await readOperations(float);
  const beginning = float.replace(/\.safetensors$/, `-${batch}`);
  const files = { onnx: `${beginning}.onnx`, onnx16: `${beginning}-float16.onnx` };
  await writeFile(files.onnx, floatGraph(operations, batch).model);
  await writeFile(files.onnx16, floatGraph(operations, batch, [], { half: true }).model);
  return files;
}
