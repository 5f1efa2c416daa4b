"""ResNet-50 as PyTorch runs it on the same GPU: the peer of `npm run bench:cuda`.

Prints one JSON object: the device, the versions, and per mode and batch the milliseconds of a run (minimum, median, maximum), once with pictures and answers on the
device, once copied in and out through pinned memory, as a program that serves pictures does. A mode that fails is named with its error. Needs PyTorch alone.
"""
import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn as nn


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            convolution(inputs, width, 1), nn.ReLU(inplace=True),
            convolution(width, width, 3, stride), nn.ReLU(inplace=True),
            convolution(width, 4 * width, 1),
        )
        changes = stride != 1 or inputs != 4 * width
        self.shortcut = convolution(inputs, 4 * width, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet50(classes=1000):
    """He et al., arXiv 1512.03385, with the stride on the 3x3 convolution as torchvision has it. Random weights: speed does not depend on them."""
    layers = [convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if stage > 0 and block == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def folded(model):
    """Batch normalizations folded into the convolutions before them, as whoever serves a network does."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for n in range(len(module) - 1):
                if isinstance(module[n], nn.Conv2d) and isinstance(module[n + 1], nn.BatchNorm2d):
                    module[n] = nn.utils.fuse_conv_bn_eval(module[n], module[n + 1])
                    module[n + 1] = nn.Identity()
    return model


def captured(model, x):
    """The model as a CUDA graph over fixed buffers."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            y = model(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = model(x)
    return graph.replay, y


def times(run, runs):
    """Milliseconds of a run by the host's clock, the device synchronized: what a caller waits."""
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        torch.cuda.synchronize()
        found.append(1000 * (time.perf_counter() - begun))
    return {"min": min(found), "median": statistics.median(found), "max": max(found), "runs": runs}


def measure(make, batch, runs, dtype):
    x = torch.randn(batch, 3, 224, 224, device="cuda", dtype=dtype).contiguous(memory_format=torch.channels_last)
    run, y = make(x)
    on_device = times(run, runs)
    pictures = torch.randn(batch, 3, 224, 224, dtype=dtype).contiguous(memory_format=torch.channels_last).pin_memory()
    answers = torch.empty(y.shape, dtype=y.dtype).pin_memory()

    def whole():
        x.copy_(pictures, non_blocking=True)
        run()
        answers.copy_(y, non_blocking=True)

    return {"device": on_device, "copied": times(whole, runs)}


def modes():
    def fresh(dtype):
        return folded(resnet50().eval()).to("cuda", dtype).to(memory_format=torch.channels_last)

    def eager(dtype):
        def make(x):
            model = fresh(dtype)
            return captured(model, x)
        return make

    def plain(dtype):
        def make(x):
            model = fresh(dtype)
            held = model(x)

            def run():
                held.copy_(model(x))
            return run, held
        return make

    def compiled(prepare, dtype):
        def make(x):
            model = torch.compile(prepare(fresh(dtype)), mode="max-autotune")
            for _ in range(3):
                y = model(x)
            held = torch.empty_like(y)

            def run():
                held.copy_(model(x))
            return run, held
        return make

    def int8(model):
        from torchao.quantization import int8_dynamic_activation_int8_weight, quantize_
        quantize_(model, int8_dynamic_activation_int8_weight())
        return model

    found = {
        "fp16 eager": (plain(torch.float16), torch.float16),
        "fp16 CUDA graph": (eager(torch.float16), torch.float16),
        "fp16 torch.compile max-autotune": (compiled(lambda m: m, torch.float16), torch.float16),
        "TF32 CUDA graph": (eager(torch.float32), torch.float32),
    }
    try:
        import torchao  # noqa: F401
        found["int8 torchao"] = (compiled(int8, torch.float16), torch.float16)
    except ImportError:
        print("torchao is not installed: int8 is not measured (it quantizes linear layers alone)", file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="1,32,256")
    parser.add_argument("--modes", default="", help="regular expression; all by default")
    parser.add_argument("--runs", type=int, default=30)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device")
    import re
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    results = []
    with torch.inference_mode():
        for name, (make, dtype) in modes().items():
            if not re.search(args.modes, name):
                continue
            for batch in map(int, args.batches.split(",")):
                entry = {"mode": name, "batch": batch}
                try:
                    entry["ms"] = measure(make, batch, args.runs, dtype)
                except Exception as error:  # what fails is told, and the others go on
                    entry["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                print(json.dumps(entry), file=sys.stderr, flush=True)
                results.append(entry)
                torch.cuda.empty_cache()
    properties = torch.cuda.get_device_properties(0)
    print(json.dumps({
        "device": properties.name, "computeCapability": [properties.major, properties.minor],
        "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "results": results,
    }))


if __name__ == "__main__":
    main()
