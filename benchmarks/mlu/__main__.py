"""Predicts networks on emulated cards and prints them beside the vendor's figures: `python -m benchmarks.mlu`.

The vendor's are throughputs of its own engine with one thread, from the pages of Cambricon/magicmind_cloud v1.0 (v1.1
for MobileNetV2). Weights here are random: no time depends on them.
"""

from __future__ import annotations

import click
import numpy as np

import mm_core as mm
from tests import zoo

BATCHES = (1, 4, 8)
DEVICES = {"S4": "mlu:0", "X4": "mlu:1"}
PUBLISHED: dict[tuple[str, str, str], tuple[int, int, int]] = {
    ("resnet50", "force_float32", "S4"): (193, 640, 786),
    ("resnet50", "force_float32", "X4"): (194, 590, 1027),
    ("resnet50", "force_float16", "S4"): (587, 1948, 2405),
    ("resnet50", "force_float16", "X4"): (573, 1762, 3253),
    ("vgg16", "force_float32", "S4"): (113, 226, 230),
    ("vgg16", "force_float32", "X4"): (125, 369, 525),
    ("vgg16", "force_float16", "S4"): (247, 637, 716),
    ("vgg16", "force_float16", "X4"): (280, 959, 1656),
    ("bert_base", "force_float32", "S4"): (81, 177, 189),
    ("bert_base", "force_float32", "X4"): (85, 213, 300),
    ("bert_base", "force_float16", "S4"): (361, 596, 632),
    ("bert_base", "force_float16", "X4"): (513, 1102, 1561),
    ("mobilenet_v2", "force_float16", "X4"): (1278, 2583, 5110),
}
"""Requests a second for each batch size, by network, precision and card."""
NAMES = tuple(dict.fromkeys(name for name, _, _ in PUBLISHED))
_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_VGG16_DENSE = (4096, 4096, 1000)


def vgg16(batch: int) -> tuple[mm.Network, dict[str, np.ndarray]]:
    """VGG16 (arXiv 1409.1556) for images of 224 pixels, and a batch of them."""
    rng = np.random.default_rng(0)
    network = mm.Network("vgg16")
    images = rng.standard_normal((batch, 3, 224, 224)).astype(np.float32)
    x = network.add_input("images", mm.float32, images.shape)
    channels = 3
    for width, count in _VGG16:
        for _ in range(count):
            weights = rng.standard_normal((width, channels, 3, 3)) * (2 / (9 * channels)) ** 0.5
            bias = np.zeros(width, np.float32)
            x = network.relu(network.conv(x, weights.astype(np.float32), bias, pads=(1, 1, 1, 1)))
            channels = width
        x = network.max_pool(x, kernel_shape=(2, 2), strides=(2, 2))
    depth = channels * 7 * 7
    x = network.reshape(x, [batch, depth])
    for width in _VGG16_DENSE:
        weights = rng.standard_normal((width, depth)) * (2 / depth) ** 0.5
        x = network.linear(x, weights.astype(np.float32), np.zeros(width, np.float32))
        x = network.relu(x) if width != _VGG16_DENSE[-1] else x
        depth = width
    network.mark_output(x, "classes")
    return network, {"images": images}


def load(name: str, batch: int) -> tuple[mm.Network, dict[str, np.ndarray]]:
    """A network of static sizes, and inputs for it."""
    if name == "vgg16":
        return vgg16(batch)
    file = zoo.build(name, batch=batch, small=False)
    return mm.parse(str(file.path)), file.inputs


def predicted(model: mm.Model, inputs: dict[str, np.ndarray], card: str) -> float:
    """Seconds for one request."""
    context = mm.Engine(model, devices=[DEVICES[card]]).create_context()
    context.run(inputs)
    return sum(prediction.seconds for _, prediction in context.predictions())


@click.command()
@click.option("--model", "names", multiple=True, type=click.Choice(NAMES), default=NAMES, help="All by default.")
@click.option("--batch", "batches", multiple=True, type=click.Choice([*map(str, BATCHES)]), help="All by default.")
def main(names: tuple[str, ...], batches: tuple[str, ...]) -> None:
    """Print a table of predicted and published milliseconds for a batch."""
    click.echo("| network | precision | card | batch | predicted ms | published ms | ratio |")
    click.echo("|---|---|---|---|---|---|---|")
    for name in names:
        for batch in map(int, batches or map(str, BATCHES)):
            network, inputs = load(name, batch)
            for precision in ("force_float32", "force_float16"):
                cards = [card for card in DEVICES if (name, precision, card) in PUBLISHED]
                if not cards:
                    continue
                config = mm.BuilderConfig(backends=["mlu", "cpu"], precision=precision)
                model = mm.Builder(config).build(network)
                for card in cards:
                    ours = predicted(model, inputs, card) * 1e3
                    theirs = batch / PUBLISHED[name, precision, card][BATCHES.index(batch)] * 1e3
                    numbers = f"{ours:.2f} | {theirs:.2f} | {ours / theirs:.2f}"
                    click.echo(f"| {name} | {precision} | {card} | {batch} | {numbers} |")


if __name__ == "__main__":
    main()
