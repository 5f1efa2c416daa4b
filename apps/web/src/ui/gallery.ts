/** Ways to a picture: samples, files, the clipboard, dragging. */
import { openBitmap } from '../page/bitmap.js';
import { byId, element } from '../page/dom.js';
import { ownSample, type Sample } from '../page/samples.js';
import type { Evaluation } from '../workers/api.js';
import { openCamera } from './camera.js';
import { showError } from './messages.js';

/** Own pictures that are kept for comparing networks. */
const MOST_OWN = 24;

export class Gallery {
  private samples: Sample[] = [];
  private own: Sample[] = [];
  private chosen: Sample | null = null;

  /** @param onChoose called with every picture that is chosen, several where several files are */
  constructor(private readonly onChoose: (sample: Sample) => void) {
    const input = byId<HTMLInputElement>('file');
    byId('upload').addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      this.take([...(input.files ?? [])]);
      input.value = '';
    });
    byId('camera').addEventListener('click', () => {
      openCamera((blob) => this.add(blob, 'Camera').catch(showError)).catch(showError);
    });
    document.addEventListener('paste', ({ clipboardData }) => {
      const files = [...(clipboardData?.files ?? [])];
      if (files.length > 0) this.take(files);
    });
    this.acceptDrops();
  }

  /** The sample set: what is shipped for the network, then the visitor's own. */
  get all(): readonly Sample[] {
    return [...this.samples, ...this.own];
  }

  get current(): Sample | null {
    return this.chosen;
  }

  /** @param samples those of the network */
  show(samples: Sample[]): void {
    this.samples = samples;
    if (this.chosen && !this.all.includes(this.chosen)) this.chosen = null;
    this.draw();
  }

  choose(sample: Sample): void {
    this.chosen = sample;
    const preview = byId<HTMLImageElement>('preview');
    preview.src = sample.address;
    preview.alt = sample.truth === null ? sample.title : `${sample.title}, a sample`;
    preview.hidden = false;
    byId('preview-hint').hidden = true;
    for (const button of byId('samples').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', `${button.dataset.name === sample.name}`);
    }
    this.onChoose(sample);
  }

  /** Writes the quantized network's answers under the samples, and whether the float network says the same. */
  mark({ float, quantized }: Evaluation, labels: readonly string[]): void {
    const name = (index: number): string => labels[index] ?? `class ${index}`;
    byId('samples')
      .querySelectorAll('button')
      .forEach((button, n) => {
        const [ours, theirs] = [quantized[n], float[n]];
        const tag = button.querySelector('.tag')!;
        if (ours === undefined || theirs === undefined) return;
        const agrees = ours === theirs;
        const truth = this.all[n]?.truth ?? null;
        button.classList.toggle('differs', !agrees);
        button.classList.toggle('wrong', truth !== null && truth !== ours);
        const says = element('span', { class: 'hidden' }, agrees ? 'DSConv says ' : 'DSConv differs: ');
        tag.replaceChildren(says, `${agrees ? '' : '≠ '}${name(ours)}`);
        button.title = agrees ? `both say ${name(ours)}` : `DSConv says ${name(ours)}, float ${name(theirs)}`;
      });
  }

  private draw(): void {
    const items = this.all.map((sample) => {
      const image = element('img', { src: sample.address, alt: sample.title, width: '56', height: '56' });
      const pressed = `${sample === this.chosen}`;
      const button = element(
        'button',
        { type: 'button', 'data-name': sample.name, 'aria-pressed': pressed },
        image,
        element('span', { class: 'tag' }),
      );
      button.addEventListener('click', () => this.choose(sample));
      return element('li', {}, button);
    });
    byId('samples').replaceChildren(...items);
  }

  /** One after the other: they join in the order in which they were brought, whichever is decoded first. */
  private async take(files: readonly File[]): Promise<void> {
    for (const file of files) await this.add(file, file.name || 'Pasted picture').catch(showError);
  }

  /** Only what is a picture joins the set, and only then is it chosen. */
  private async add(blob: Blob, title: string): Promise<void> {
    (await openBitmap(title, blob)).close();
    const sample = ownSample(blob, title);
    this.own = [...this.own, sample].slice(-MOST_OWN);
    this.draw();
    this.choose(sample);
  }

  private acceptDrops(): void {
    const area = byId('drop');
    const isFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
    // Anywhere on the page: a picture dropped beside the area would otherwise replace the page.
    document.addEventListener('dragover', (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      area.classList.add('over');
    });
    document.addEventListener('dragleave', (event) => {
      if (event.relatedTarget === null) area.classList.remove('over');
    });
    document.addEventListener('drop', (event) => {
      area.classList.remove('over');
      if (!isFiles(event)) return;
      event.preventDefault();
      this.take([...event.dataTransfer!.files]);
    });
  }
}
