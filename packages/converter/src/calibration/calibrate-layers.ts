/** All convolutions of a float network, fitted one after the other on pictures. */
import type { CalibrateOptions, CalibrationPictures } from './calibrate-options.js';
import { CalibrationRun } from './calibration-run.js';
import type { FloatNetwork, FoundLayer } from './float-network.js';

/** What calibration made of a network's layers. */
export interface CalibratedLayers {
  layers: Map<string, FoundLayer>;
  /** Pictures that were used. */
  pictures: number;
  /** Layers that were only rounded, because their statistics would take too much memory or are divided into groups. */
  rounded: string[];
}

/**
 * Layer by layer in the order of execution, each fitted to make up for what the layers before it lost. The event loop gets a turn between them.
 *
 * @throws InvalidArgumentError when there are no pictures, or one has another size
 * @throws TraceError when the network cannot be recorded
 */
export async function calibrateLayers(
  network: FloatNetwork,
  pictures: CalibrationPictures,
  options: CalibrateOptions,
): Promise<CalibratedLayers> {
  const calibration = await CalibrationRun.start(network, pictures, options);
  const layers = new Map<string, FoundLayer>();
  const total = network.layers.size;
  try {
    for (const convolution of calibration.structure.convolutions) {
      const { layer } = convolution;
      if (!layers.has(layer)) options.onProgress?.({ done: layers.size, total, layer });
      await new Promise<void>((resolve) => setTimeout(resolve));
      layers.set(layer, await calibration.fit(convolution));
    }
  } finally {
    calibration.dispose();
  }
  options.onProgress?.({ done: total, total, layer: null });
  return { layers, pictures: calibration.pictures, rounded: calibration.rounded };
}
