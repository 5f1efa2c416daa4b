"""Write the first two test pictures of each Fashion-MNIST class as PNG.

labels.json says what each file shows; classes.json lists the class names in label order.

Usage: /usr/bin/python3 export_test_pictures.py OUTPUT_FOLDER
"""
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import fashion_mnist

PER_CLASS = 2


def png(pixels):
    """8-bit greyscale PNG of a uint8 [H, W] array, without a picture library."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: each row unfiltered
    return (b"\x89PNG\r\n\x1a\n"
            # bit depth 8, colour type 0 (grey), deflate, standard filters, not interlaced
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = fashion_mnist.load("t10k")
    chosen = sorted(int(index) for label in range(len(fashion_mnist.CLASSES))
                    for index in (labels == label).nonzero()[0][:PER_CLASS])
    entries = []
    for index in chosen:
        label = int(labels[index])
        name = fashion_mnist.CLASSES[label]
        file = f"{index:05}-{slug(name)}.png"
        (folder / file).write_bytes(png(pixels[index]))
        entries.append({"file": file, "labelIndex": label, "label": name})
    (folder / "labels.json").write_text(json.dumps(entries, indent=2) + "\n")
    (folder / "classes.json").write_text(json.dumps(fashion_mnist.CLASSES, indent=2) + "\n")
    print(f"wrote {len(entries)} pictures, labels.json and classes.json to {folder}")


if __name__ == "__main__":
    main()
