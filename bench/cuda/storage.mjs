import { writeNetwork } from '@dsconv/models';

/** Bytes of a network's file. */
export const bytesOfNetwork = (network) => writeNetwork(network).byteLength;
