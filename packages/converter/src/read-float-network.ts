import type { ArchitectureConfig, Network } from '@dsconv/models';
export interface ReadFloatOptions {
  architecture?: ArchitectureConfig | string;
}
export async function readFloatNetwork(path: string, options: ReadFloatOptions = {}): Promise<Network> {
  throw new Error(`${path} ${options}`);
}
export async function readNetworkFile(path: string): Promise<Network> {
  throw new Error(path);
}
