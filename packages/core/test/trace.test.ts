import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CONTRACT_VERSION,
  type CompiledPlan,
  capture,
  captureAsync,
  compile,
  compilePlan,
  DisposedError,
  InvalidArgumentError,
  registerDSConvBackend,
  type Trace,
  TraceError,
} from '../src/index.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const x = () => tf.tensor2d([1, -2, 3, -4], [2, 2]);

describe('capture', () => {
  it('records kernels in order, with values that flow from one to the next', () => {
    const trace = capture((t) => tf.relu(tf.add(t, 1)), x());
    expect(trace.nodes.map(({ kernel }) => kernel)).toEqual(['Add', 'Relu']);
    const [addition, relu] = trace.nodes;
    expect(addition!.inputs.a).toEqual(trace.inputs[0]);
    expect(relu!.inputs.x).toEqual(addition!.outputs[0]);
    expect(trace.outputs).toEqual([relu!.outputs[0]]);
    expect([...trace.constants]).toEqual([[addition!.inputs.b!.value, Float32Array.of(1)]]);
  });

  it('gives a reshape the number of its input', () => {
    const trace = capture((t) => tf.relu(tf.reshape(t, [4])), x());
    expect(trace.nodes.at(-1)!.inputs.x).toEqual({ ...trace.inputs[0], shape: [4] });
  });

  it('copies weights, which may change or go later', () => {
    const weights = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const trace = capture((t) => tf.matMul(t as tf.Tensor2D, weights), x());
    weights.dispose();
    expect([...trace.constants.values()]).toEqual([Float32Array.of(1, 2, 3, 4)]);
  });

  it('waits for constants where they cannot be read at once', async () => {
    const backend = tf.backend();
    const weights = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const example = x();
    const { numTensors } = tf.memory();
    const { read, readSync } = backend;
    backend.read = async (dataId) => readSync.call(backend, dataId);
    backend.readSync = () => {
      throw new Error('there is no reading at once');
    };
    const made = captureAsync((t) => tf.matMul(tf.add(t, 1) as tf.Tensor2D, weights), example);
    weights.dispose();
    const { constants, nodes } = await made;
    Object.assign(backend, { read, readSync });
    expect(nodes.map(({ kernel }) => kernel)).toEqual(['Add', 'BatchMatMul']);
    expect([...constants.values()]).toEqual([Float32Array.of(1), Float32Array.of(1, 2, 3, 4)]);
    // All that was held is gone, and so are the weights.
    expect(tf.memory().numTensors).toBe(numTensors - 1);
  });

  it('keeps what is computed from constants alone as a constant, which may be read', () => {
    const trace = capture((t) => {
      const scale = tf.sqrt(tf.add(tf.tensor1d([3, 8]), 1));
      const axis = tf.sub(tf.scalar(2, 'int32'), tf.scalar(1, 'int32'));
      return tf.sum(tf.mul(t, scale), axis.dataSync()[0]);
    }, x());
    expect(trace.nodes.map(({ kernel }) => kernel)).toEqual(['Multiply', 'Sum']);
    expect([...trace.constants.values()]).toEqual([Float32Array.of(2, 3)]);
  });

  it('leaves kernels, reads and tensors as they were, also after an error', () => {
    const before = tf.getKernel('Relu', 'cpu').kernelFunc;
    const example = x();
    const tensors = tf.memory().numTensors;
    capture((t) => tf.relu(t), example);
    const failing = () => {
      throw new Error('mine');
    };
    expect(() => capture(failing, example)).toThrow('mine');
    expect(tf.getKernel('Relu', 'cpu').kernelFunc).toBe(before);
    expect(tf.memory().numTensors).toBe(tensors);
    expect([...example.dataSync()]).toEqual([1, -2, 3, -4]);
  });

  it('refuses a function that reads values, returns a Promise, or has no input', () => {
    expect(() => capture((t) => tf.mul(t, t.dataSync()[0]!), x())).toThrow(TraceError);
    expect(() => capture((async (t: tf.Tensor) => t) as never, x())).toThrow(/returned a Promise/);
    expect(() => capture((t) => t)).toThrow(InvalidArgumentError);
  });

  it('keeps several outputs and whether they were an array', () => {
    const trace = capture((t) => [tf.relu(t), tf.neg(t)], x());
    expect(trace.outputs).toHaveLength(2);
    expect(trace.returnsArray).toBe(true);
  });
});

describe('plans', () => {
  it('run eagerly with a reason where the backend has none', async () => {
    const plan = await compile((t) => tf.relu(t), x());
    expect(plan).toMatchObject({ mode: 'eager', reason: "backend 'cpu' has no plans" });
    const y = (await plan.run(x())) as tf.Tensor;
    expect([...y.dataSync()]).toEqual([1, 0, 3, 0]);
    await expect(plan.run(tf.zeros([3]))).rejects.toThrow(
      'input 0 is float32 of shape [3]; expected float32 [2,2] as recorded',
    );
    await expect(plan.run()).rejects.toThrow('0 inputs are given; expected 1');
    plan.dispose();
    await expect(plan.run(x())).rejects.toThrow(DisposedError);
  });

  it('run eagerly with a reason where the function reads values', async () => {
    const plan = await compile((t) => tf.mul(t, t.dataSync()[0]!), x());
    expect(plan.mode).toBe('eager');
    expect(plan.reason).toMatch(/reads the values of a tensor/);
    expect([...((await plan.run(x())) as tf.Tensor).dataSync()]).toEqual([1, -2, 3, -4]);
  });

  describe('of a backend', () => {
    const log: string[] = [];
    let refuse: Error | null = null;
    beforeAll(async () => {
      tf.registerBackend('planning', () => tf.findBackend('cpu'), 0);
      tf.copyRegisteredKernels('cpu', 'planning');
      const compilePlan = async (trace: Trace): Promise<CompiledPlan> => {
        if (refuse) throw refuse;
        log.push(trace.nodes.map(({ kernel }) => kernel).join());
        return {
          arenaBytes: 0,
          liveBytes: 0,
          run: async ([input], [output]) => output!.set(input!.map((value) => value + 1)),
          dispose: () => log.push('disposed'),
        };
      };
      registerDSConvBackend({
        name: 'planning',
        contractVersion: CONTRACT_VERSION,
        supports: () => true,
        probe: async () => true,
        tiers: async () => [],
        activeTier: () => null,
        compilePlan,
      });
      await tf.setBackend('planning');
    });

    it('are used, and disposed once', async () => {
      const plan = await compile((t) => tf.relu(t), x());
      expect(plan).toMatchObject({ mode: 'compiled', reason: null });
      const y = (await plan.run(x())) as tf.Tensor;
      expect(y.shape).toEqual([2, 2]);
      expect([...y.dataSync()]).toEqual([2, -1, 4, -3]);
      plan.dispose();
      plan.dispose();
      await expect(plan.run(x())).rejects.toThrow(DisposedError);
      expect(log).toEqual(['Relu', 'disposed']);
    });

    it('give way to the function when an operation is not known, but not when they are broken', async () => {
      const trace = capture((t) => tf.relu(t), x());
      refuse = new TraceError('operation Relu is not known');
      expect(await compilePlan(trace)).toMatchObject({
        mode: 'eager',
        reason: 'operation Relu is not known',
      });
      refuse = new Error('a bug');
      await expect(compilePlan(trace)).rejects.toThrow('a bug');
    });

    it('take float32 only', async () => {
      const plan = await compile((t) => tf.cast(t, 'int32'), x());
      expect(plan.reason).toBe('an input or output has dtype int32; plans take and give float32');
    });
  });
});
