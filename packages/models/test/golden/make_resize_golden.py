"""Pictures resized and cropped by Pillow as torchvision and timm do before a network sees them: what src/resize.ts is held against.

Usage: python3 make_resize_golden.py > resize.json     (Pillow 9 or later)
"""

import base64
import json
import math

import PIL
from PIL import Image

CASES = [
    # width, height, size, crop ratio, mode, interpolation
    (97, 61, 24, 0.875, "shorterSide", "bilinear"),
    (97, 61, 24, 0.875, "shorterSide", "bicubic"),
    (61, 97, 32, 0.95, "shorterSide", "bicubic"),
    (40, 40, 32, 1.0, "shorterSide", "bilinear"),
    (19, 23, 32, 0.875, "shorterSide", "bilinear"),
    (19, 23, 32, 0.875, "shorterSide", "bicubic"),
    (90, 33, 28, 1.0, "exact", "bilinear"),
    (90, 33, 28, 0.9, "exact", "bicubic"),
    (300, 200, 20, 0.875, "shorterSide", "bicubic"),
]


def pixel(x, y, c):
    """Smooth colours with hard edges in them, so that overshoot of the cubic kernel meets both ends of the range."""
    edge = 255 if (x // 7 + y // 5) % 3 == 0 else 0
    return (edge + (x * x * 3 + y * 11 * (c + 1) + x * y) % 256) // 2 if (x + y) % 4 else edge


def picture(width, height):
    image = Image.new("RGB", (width, height))
    image.putdata([tuple(pixel(x, y, c) for c in range(3)) for y in range(height) for x in range(width)])
    return image


def transform(image, size, ratio, mode, interpolation):
    side = math.floor(size / ratio)
    width, height = image.size
    if mode == "exact":
        scaled = (side, side)
    elif width <= height:
        scaled = (side, int(side * height / width))
    else:
        scaled = (int(side * width / height), side)
    kernel = Image.BILINEAR if interpolation == "bilinear" else Image.BICUBIC
    image = image.resize(scaled, kernel)
    left = int(round((scaled[0] - size) / 2.0))
    top = int(round((scaled[1] - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


cases = []
for width, height, size, ratio, mode, interpolation in CASES:
    result = transform(picture(width, height), size, ratio, mode, interpolation)
    cases.append(
        {
            "width": width,
            "height": height,
            "size": size,
            "cropRatio": ratio,
            "mode": mode,
            "interpolation": interpolation,
            "pixels": base64.b64encode(result.tobytes()).decode(),
        }
    )
print(json.dumps({"pillow": PIL.__version__, "cases": cases}, indent=1))
