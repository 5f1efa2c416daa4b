"""Fashion-MNIST as Debian's dataset-fashion-mnist package installs it."""
import gzip

import numpy as np

FOLDER = "/usr/share/datasets/fashion-mnist"
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def read_idx(path):
    """IDX: two zero bytes, type (8 = uint8), rank, then big-endian u32 sizes and the data."""
    with gzip.open(path, "rb") as file:
        raw = file.read()
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of uint8")
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(split, folder=FOLDER):
    """split is 'train' or 't10k'; gives images [N, 28, 28] and labels [N], both uint8."""
    return (read_idx(f"{folder}/{split}-images-idx3-ubyte.gz"),
            read_idx(f"{folder}/{split}-labels-idx1-ubyte.gz"))
