/** What a program needs to run a converted GraphModel: one call before `tf.loadGraphModel`. No Node, no converter. */
export { registerDSConvOps } from './register-ops.js';
