/** Fields of a layer's configuration, which Keras writes with underscores. */
import { isRecord, text } from '../json-values.js';
import { LayerError } from './layer-error.js';
import type { Layer } from './topology.js';

export class LayerConfig {
  constructor(
    private readonly layer: Layer,
    private readonly file: string,
  ) {}

  /** A field as it is, or `otherwise` where it is absent or null. TensorFlow.js also takes names in camel case. */
  value(name: string, otherwise: unknown): unknown {
    const { config } = this.layer;
    const camel = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const found = Object.hasOwn(config, name) ? config[name] : config[camel];
    return found ?? otherwise;
  }

  string(name: string, otherwise: string): string {
    const value = this.value(name, otherwise);
    if (typeof value !== 'string') this.fail(name, value, 'a string');
    return value as string;
  }

  boolean(name: string, otherwise: boolean): boolean {
    const value = this.value(name, otherwise);
    if (typeof value !== 'boolean') this.fail(name, value, 'true or false');
    return value as boolean;
  }

  number(name: string, otherwise: number): number {
    const value = this.value(name, otherwise);
    if (typeof value !== 'number' || !Number.isFinite(value)) this.fail(name, value, 'a number');
    return value as number;
  }

  /** One positive integer for both axes, or one for each. */
  pair(name: string, otherwise: number): [number, number] {
    const value = this.value(name, otherwise);
    const list = Array.isArray(value) ? value : [value, value];
    if (list.length !== 2 || !list.every((n) => Number.isSafeInteger(n) && n > 0)) {
      this.fail(name, value, 'one or two positive integers');
    }
    return list as [number, number];
  }

  /** The name of an activation; newer writers give an object with a class name. Null for objects that say more than a name. */
  activation(): string | null {
    const value = this.value('activation', 'linear');
    const name = isRecord(value) ? value.class_name : value;
    if (typeof name !== 'string') this.fail('activation', value, 'the name of an activation');
    const hasMore = isRecord(value) && isRecord(value.config) && 'max_value' in value.config;
    return hasMore ? null : (name as string);
  }

  private fail(name: string, value: unknown, expected: string): never {
    throw new LayerError(this.file, this.layer, `has ${name} ${text(value)}; expected ${expected}`);
  }
}

/** `channels_last` in all its spellings. */
export function isChannelsLast(config: LayerConfig): boolean {
  return config.string('data_format', 'channels_last').replace('_', '').toLowerCase() === 'channelslast';
}
