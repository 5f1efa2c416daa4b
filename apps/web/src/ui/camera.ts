/** A picture from the camera, in a dialog that closes it again. */
import { byId } from '../page/dom.js';

/** The camera cannot be had. */
class CameraError extends Error {
  override readonly name = 'CameraError';
}

/**
 * @param onPicture called when someone takes a picture; not when they cancel
 * @throws CameraError with the reason in words
 */
export async function openCamera(onPicture: (blob: Blob) => void): Promise<void> {
  const dialog = byId<HTMLDialogElement>('camera-dialog');
  const video = byId<HTMLVideoElement>('camera-video');
  const stream = await openStream();
  const stop = (): void => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  video.srcObject = stream;
  dialog.addEventListener('close', stop, { once: true });
  dialog.showModal();
  await video.play();
  byId('camera-close').onclick = () => dialog.close();
  byId('camera-take').onclick = async () => {
    const blob = await snapshot(video);
    dialog.close();
    onPicture(blob);
  };
  byId('camera-take').focus();
}

async function openStream(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CameraError('this browser gives pages no camera here; pages need https for it');
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { facingMode: 'environment', width: { ideal: 1280 } },
    });
  } catch (error) {
    const { name, message } = error as DOMException;
    if (name === 'NotAllowedError') throw new CameraError('the camera may not be used by this page');
    if (name === 'NotFoundError') throw new CameraError('no camera was found');
    throw new CameraError(`the camera cannot be opened (${message})`);
  }
}

async function snapshot(video: HTMLVideoElement): Promise<Blob> {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext('2d')!.drawImage(video, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) =>
      blob ? resolve(blob) : reject(new CameraError('the picture could not be kept')),
    );
  });
}
