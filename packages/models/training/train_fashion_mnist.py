"""Train ResNet-20 (CIFAR family, option-A shortcuts) on Fashion-MNIST and write it as safetensors.

Parameter names and shapes are those of akamaster/pytorch_resnet_cifar10, except that conv1 takes
one input channel. Use train_fashion_mnist.sh, which installs what this needs.
"""
import argparse
import json
import math
import os
import struct
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

import fashion_mnist

SHIFT = 2  # augmentation: largest shift in pixels


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.extra:
            # Option A: a shortcut without parameters. Take every second pixel, and put half of
            # the missing channels, as zeros, before the old ones and half after them.
            half = self.extra // 2
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, half, self.extra - half))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self, channels=1, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def normalise(pixels, mean, std):
    """uint8 [N, H, W] to float [N, 1, H, W]."""
    x = (pixels.unsqueeze(1).float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


def augment(pixels):
    """Shift each picture by up to SHIFT pixels, and mirror about half of them.

    This works on the raw bytes, so that the padding is the data set's own background (0)."""
    n, height, width = pixels.shape
    windows = F.pad(pixels, (SHIFT,) * 4).unfold(1, height, 1).unfold(2, width, 1)
    dy, dx = torch.randint(0, 2 * SHIFT + 1, (2, n))
    shifted = windows[torch.arange(n), dy, dx]
    mirror = torch.rand(n, 1, 1) < 0.5
    return torch.where(mirror, shifted.flip(2), shifted)


def learning_rate(progress, peak, warm_up=0.2):
    """One cycle: linear up to the peak during warm_up, then a cosine down to 0."""
    if progress < warm_up:
        return peak * (0.05 + 0.95 * progress / warm_up)
    return peak * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


@torch.no_grad()
def accuracy(model, pixels, labels, mean, std):
    model.eval()
    right = sum((model(normalise(p, mean, std)).argmax(1) == y).sum().item()
                for p, y in zip(pixels.split(500), labels.split(500)))
    return right / len(labels)


def write_atomically(path, data):
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    os.replace(beside, path)


def safetensors(tensors, metadata):
    """u64 LE header length, JSON header, then the tensors' bytes one after another."""
    header, chunks, offset = {"__metadata__": {k: str(v) for k, v in metadata.items()}}, [], 0
    for name, tensor in tensors.items():
        # .contiguous() also undoes channels_last: the bytes are in OIHW order.
        chunk = tensor.detach().float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data can be viewed as floats in place
    return struct.pack("<Q", len(text)) + text + b"".join(chunks)


def arguments():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path,
                        default=here / "build" / "fashion-mnist-resnet20.safetensors")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.2, help="peak learning rate")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)

    # numpy's read-only views are copied, as torch needs memory it may write to.
    pixels, labels = (torch.from_numpy(a.copy()) for a in fashion_mnist.load("train"))
    test_pixels, test_labels = (torch.from_numpy(a.copy()) for a in fashion_mnist.load("t10k"))
    labels, test_labels = labels.long(), test_labels.long()
    scaled = pixels.double() / 255
    mean, std = round(scaled.mean().item(), 6), round(scaled.std().item(), 6)
    print(f"{len(labels)} training pictures, mean {mean}, std {std}; "
          f"{len(test_labels)} test pictures", flush=True)

    model = ResNet20().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), args.rate, args.momentum,
                                weight_decay=args.weight_decay, nesterov=True)
    steps = len(labels) // args.batch  # the incomplete last batch of a shuffle is left out
    log, start = [], time.time()
    for epoch in range(1, args.epochs + 1):
        began, loss_sum, right = time.time(), 0.0, 0
        model.train()
        order = torch.randperm(len(labels))
        for step in range(steps):
            rate = learning_rate((epoch - 1 + step / steps) / args.epochs, args.rate)
            optimiser.param_groups[0]["lr"] = rate
            pick = order[step * args.batch:(step + 1) * args.batch]
            y = labels[pick]
            scores = model(normalise(augment(pixels[pick]), mean, std))
            loss = F.cross_entropy(scores, y, label_smoothing=args.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            loss_sum += loss.item()
            right += (scores.argmax(1) == y).sum().item()
        # Test accuracy is only reported; nothing (such as the epoch kept) is chosen by it.
        row = {"epoch": epoch, "loss": round(loss_sum / steps, 5),
               "train_accuracy": round(right / (steps * args.batch), 5),
               "test_accuracy": accuracy(model, test_pixels, test_labels, mean, std),
               "seconds": round(time.time() - began, 1)}
        log.append(row)
        eta = (time.time() - start) / epoch * (args.epochs - epoch)
        print(f"epoch {epoch}/{args.epochs}  loss {row['loss']:.4f}  "
              f"train {row['train_accuracy']:.2%}  test {row['test_accuracy']:.2%}  "
              f"{row['seconds']:.0f} s  ETA {eta / 60:.1f} min", flush=True)

    # What the optimiser does not see (running statistics) is wanted too; the batch counters not.
    tensors = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    data = safetensors(tensors, {
        "architecture": "resnet20", "dataset": "Fashion-MNIST", "layout": "OIHW",
        "mean": mean, "std": std, "epochs": args.epochs, "batch": args.batch,
        "rate": args.rate, "momentum": args.momentum, "weight_decay": args.weight_decay,
        "label_smoothing": args.label_smoothing, "seed": args.seed,
        "test_accuracy": log[-1]["test_accuracy"], "torch": torch.__version__})
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.output, data)
    write_atomically(args.output.with_suffix(".log.jsonl"),
                     "".join(json.dumps(row) + "\n" for row in log).encode())
    print(f"final test accuracy {log[-1]['test_accuracy']:.2%} after {args.epochs} epochs in "
          f"{(time.time() - start) / 60:.1f} min; wrote {args.output} ({len(data)} bytes)")


if __name__ == "__main__":
    main()
