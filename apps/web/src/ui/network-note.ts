/** What is known about a network, before and after it is here. */
import { bytes } from '@dsconv/converter/report';
import { byId, element } from '../page/dom.js';
import type { NetworkChoice, NetworkInfo } from '../workers/api.js';

export interface NetworkNote {
  /** To be downloaded, or null. */
  choice: NetworkChoice | null;
  info: NetworkInfo | null;
  onDownload: (() => void) | null;
}

export function showNetworkNote({ choice, info, onDownload }: NetworkNote): void {
  const note = byId('network-note');
  note.replaceChildren();
  if (choice && onDownload) {
    const button = element(
      'button',
      { type: 'button', class: 'button primary', id: 'download' },
      `Download ${bytes(choice.floatBytes)}`,
    );
    button.addEventListener('click', () => {
      button.disabled = true;
      onDownload();
    });
    note.append('The float weights come from whoever published them and are quantized here. ', button);
    return;
  }
  if (!info) return;
  const came = `${info.name}, ${info.labels.length || 'unnamed'} classes, pictures of ${info.size}×${info.size}${info.channels === 1 ? ' in grey' : ''}. ${bytes(info.bytesFetched)} fetched.`;
  note.append(came);
  if (info.floatOrigin === 'dequantized') {
    const [file] = info.files;
    const form = file ? ` of ${file.bits} bits` : '';
    note.append(
      element(
        'strong',
        { id: 'float-origin' },
        ` The float weights are not at hand: what is called float here are the stored weights${form}, written out as floats, so the file as it came loses only what rounding activations costs.`,
      ),
    );
  }
}
