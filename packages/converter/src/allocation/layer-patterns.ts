/** Settings for layers that are named by patterns, such as `layer4.*`. */
import { InvalidArgumentError } from '@dsconv/core';
import { nearest } from '@dsconv/models';
import type { LayerOptions } from '../quantize-network.js';

/**
 * What was set for which layer. Where several patterns fit, the last one's settings count; what it does not set is left to those before.
 *
 * @param settings by name; `*` stands for any characters
 * @param names of the layers that can have settings
 * @param owner named in errors, such as an architecture
 * @throws InvalidArgumentError for a pattern that fits no layer, naming those that come nearest
 */
export function resolveLayers(
  settings: Readonly<Record<string, LayerOptions>>,
  names: readonly string[],
  owner: string,
): Map<string, LayerOptions> {
  const resolved = new Map<string, LayerOptions>();
  for (const [pattern, own] of Object.entries(settings)) {
    const fitting = names.filter(matcher(pattern));
    if (fitting.length === 0) {
      throw new InvalidArgumentError(
        `layers has '${pattern}', which ${owner} has not; expected names such as ${nearest(pattern, names).join(', ')}`,
      );
    }
    for (const name of fitting) resolved.set(name, { ...resolved.get(name), ...own });
  }
  return resolved;
}

function matcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}$`, 's');
  return (name) => expression.test(name);
}
