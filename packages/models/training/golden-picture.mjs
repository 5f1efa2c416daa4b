/**
 * Draws the coloured golden picture, `assets/golden/picture.png`: 320×240, smooth and sharp, all three channels different, so that an error of
 * order, crop or interpolation moves logits. No photograph, so that it may be shipped.
 *
 * Usage: node packages/models/training/golden-picture.mjs
 */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const WIDTH = 320;
const HEIGHT = 240;

/** Sky, sun, hills and a striped ball, as integers from 0 to 255. */
function colour(x, y) {
  const hill = 150 + 18 * Math.sin(x / 31) + 9 * Math.sin(x / 11 + 1);
  const [ballX, ballY] = [x - 210, y - 165];
  if (ballX ** 2 + ballY ** 2 < 45 ** 2) {
    const light = 1 - Math.hypot(ballX + 14, ballY + 16) / 95;
    const isWhite = Math.floor((ballX + ballY + 200) / 16) % 2 === 0;
    return (isWhite ? [245, 240, 225] : [200, 40, 30]).map((value) => value * light);
  }
  if (y > hill) {
    const blade = ((x * 7 + y * 13) % 29) - 14;
    return [60 + (y - hill) / 4 + blade, 120 - (y - hill) / 3 + blade, 35 + blade / 2];
  }
  if ((x - 70) ** 2 + (y - 55) ** 2 < 26 ** 2) return [255, 235, 140];
  return [90 + y / 2.2, 150 + y / 2.8, 235 - y / 6];
}

const data = new Uint8ClampedArray(WIDTH * HEIGHT * 3);
for (let y = 0, at = 0; y < HEIGHT; y++) {
  for (let x = 0; x < WIDTH; x++) for (const value of colour(x, y)) data[at++] = Math.round(value);
}
const folder = fileURLToPath(new URL('../assets/golden/', import.meta.url));
mkdirSync(folder, { recursive: true });
await sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
  .png({ compressionLevel: 9 })
  .toFile(`${folder}picture.png`);
