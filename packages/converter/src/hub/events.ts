/** What {@link load} tells on the way, in the order in which it happens; files of one network come one after the other. */
export type LoadEvent =
  /** A file is about to be asked for. */
  | { readonly status: 'initiate'; readonly id: string; readonly file: string }
  /** The server answered. `loaded` bytes are there already from an earlier attempt. */
  | {
      readonly status: 'download';
      readonly id: string;
      readonly file: string;
      readonly loaded: number;
      /** Bytes of the whole file, or null when the server does not say. */
      readonly total: number | null;
    }
  | {
      readonly status: 'progress';
      readonly id: string;
      readonly file: string;
      readonly loaded: number;
      readonly total: number | null;
      /** 0 to 100, or null when the total is not known. */
      readonly progress: number | null;
    }
  | {
      readonly status: 'done';
      readonly id: string;
      readonly file: string;
      readonly bytes: number;
      readonly sha256: string;
      /** False where nobody stated a SHA-256 to compare with. */
      readonly verified: boolean;
    }
  /** Before each layer is quantized, and once after the last, when `layer` is null. */
  | {
      readonly status: 'quantize';
      readonly id: string;
      readonly done: number;
      readonly total: number;
      readonly layer: string | null;
      /** With a `target`, layers are measured first, in rounds that each count from 0. */
      readonly stage: 'measure' | 'quantize';
    }
  | { readonly status: 'ready'; readonly id: string; readonly cached: boolean };

export type OnProgress = (event: LoadEvent) => void;
