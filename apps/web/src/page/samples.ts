/** The pictures that the models package ships for its network, with the classes that they show. */
import labels from '../../../../packages/models/assets/fashion-mnist/labels.json';

const ADDRESSES = import.meta.glob<string>('../../../../packages/models/assets/fashion-mnist/*.png', {
  query: '?url',
  import: 'default',
  eager: true,
});

export interface Sample {
  /** File name, such as '00000-ankle-boot.png'. */
  name: string;
  /** For people. */
  title: string;
  /** Where an <img> finds it. */
  address: string;
  /** The class it shows, or null for someone's own picture. */
  truth: number | null;
  blob(): Promise<Blob>;
}

/** @param id of the network; there are none for most */
export function shippedSamples(id: string): Sample[] {
  if (id !== 'resnet20.fashion_mnist') return [];
  return labels.map(({ file, label, labelIndex }) => {
    const [, address] = Object.entries(ADDRESSES).find(([path]) => path.endsWith(`/${file}`))!;
    const blob = async (): Promise<Blob> => (await fetch(address)).blob();
    return { name: file, title: label, address, truth: labelIndex, blob };
  });
}

let count = 0;

/** A picture that someone brought. Its address lives as long as the page. */
export function ownSample(blob: Blob, title: string): Sample {
  const name = `own-${++count}`;
  return { name, title, address: URL.createObjectURL(blob), truth: null, blob: async () => blob };
}
