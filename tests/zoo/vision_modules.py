"""Image networks written out in torch, for what Hugging Face has no configuration of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.zoo.text import spread_weights
from tests.zoo.vision import calibrate_batch_norms

if TYPE_CHECKING:
    import torch


def weighted(body: torch.nn.Module, size: int) -> torch.nn.Module:
    """`body` with weights, for images of `size`, called as Hugging Face's: a tuple from `pixel_values`."""
    import torch

    class OnPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, pixel_values: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor, ...]:
            result = self.body(pixel_values)
            return result if isinstance(result, tuple) else (result,)

    return calibrate_batch_norms(spread_weights(OnPixels()), size)


def vgg16(small: bool) -> torch.nn.Module:
    """VGG-16 with batch norms (Simonyan and Zisserman, 2014): 138 M parameters, 15.5 GMAC, nearly all of them 3x3."""
    from torch import nn

    scale, hidden = (8, 128) if small else (1, 4096)
    layers: list[nn.Module] = []
    inputs = 3
    for depth, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width // scale, 3, padding=1), nn.BatchNorm2d(width // scale), nn.ReLU()]
            inputs = width // scale
        layers.append(nn.MaxPool2d(2))
    size = 64 if small else 224
    layers += [nn.Flatten(), nn.Linear(inputs * (size // 32) ** 2, hidden), nn.ReLU()]
    layers += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1000)]
    return weighted(nn.Sequential(*layers), size)


def densenet121(small: bool) -> torch.nn.Module:
    """DenseNet-121 (Huang et al., 2017): 8 M parameters, 2.9 GMAC; each layer reads all before it, joined."""
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self, inputs: int, growth: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
                nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )  # fmt: skip

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, self.body(x)], dim=1)

    growth, blocks = (8, (2, 2)) if small else (32, (6, 12, 24, 16))
    width = 2 * growth
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ]  # fmt: skip
    for index, depth in enumerate(blocks):
        for _ in range(depth):
            layers.append(Layer(width, growth))
            width += growth
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        if index + 1 < len(blocks):
            layers += [nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000)]
    return weighted(nn.Sequential(*layers), 64 if small else 224)


def shufflenet_v2(small: bool) -> torch.nn.Module:
    """ShuffleNetV2 1.0 (Ma et al., 2018): 2.3 M parameters, 0.15 GMAC; halves of the channels, joined and shuffled."""
    import torch
    from torch import nn

    def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    def depthwise(channels: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        return [convolution, nn.BatchNorm2d(channels)]

    class Unit(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            half, self.narrows = outputs // 2, inputs != outputs
            entering, stride = (inputs, 2) if self.narrows else (half, 1)
            self.branch = nn.Sequential(*pointwise(entering, half), *depthwise(half, stride), *pointwise(half, half))
            if self.narrows:
                self.shortcut = nn.Sequential(*depthwise(inputs, 2), *pointwise(inputs, half))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept, changed = (self.shortcut(x), x) if self.narrows else x.chunk(2, dim=1)
            joined = torch.cat([kept, self.branch(changed)], dim=1)
            return joined.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)

    widths, depths = ((8, 16, 32), (2, 2)) if small else ((24, 116, 232, 464), (4, 8, 4))
    layers: list[nn.Module] = [
        nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    for inputs, outputs, depth in zip(widths, widths[1:], depths, strict=False):
        layers += [Unit(inputs if index == 0 else outputs, outputs) for index in range(depth)]
    last = 64 if small else 1024
    layers += [*pointwise(widths[-1], last), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 1000)]
    return weighted(nn.Sequential(*layers), 64 if small else 224)


def unet(small: bool) -> torch.nn.Module:
    """U-Net (Ronneberger et al., 2015), half as wide: 7.8 M parameters; 3x3 pairs, transposed convolutions, skips."""
    import torch
    from torch import nn

    def pair(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        )  # fmt: skip

    class Unet(nn.Module):
        def __init__(self, widths: tuple[int, ...]) -> None:
            super().__init__()
            self.down = nn.ModuleList(pair(*sizes) for sizes in zip((3, *widths), widths, strict=False))
            steps = list(zip(widths[::-1], widths[-2::-1], strict=False))
            self.enlarge = nn.ModuleList(nn.ConvTranspose2d(*sizes, kernel_size=2, stride=2) for sizes in steps)
            self.up = nn.ModuleList(pair(2 * narrow, narrow) for _, narrow in steps)
            self.head = nn.Conv2d(widths[0], 21, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            levels = []
            for block in self.down:
                x = block(nn.functional.max_pool2d(x, 2) if levels else x)
                levels.append(x)
            for enlarge, block, skip in zip(self.enlarge, self.up, levels[-2::-1], strict=True):
                x = block(torch.cat([skip, enlarge(x)], dim=1))
            return self.head(x)

    body = Unet((8, 16, 24) if small else (32, 64, 128, 256, 512))
    return weighted(body, 64 if small else 224)


def yolo(small: bool) -> torch.nn.Module:
    """A one-stage detector in the manner of YOLOv8n at 320x320: split bottlenecks, pyramid pooling, three heads."""
    import torch
    from torch import nn

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU())

    class Split(nn.Module):
        """Half of the channels pass `depth` bottlenecks; all that arises on the way is joined."""

        def __init__(self, inputs: int, outputs: int, depth: int, residual: bool) -> None:
            super().__init__()
            half, self.residual = outputs // 2, residual
            self.enter, self.leave = conv(inputs, outputs, 1), conv(half * (2 + depth), outputs, 1)
            self.inner = nn.ModuleList(nn.Sequential(conv(half, half), conv(half, half)) for _ in range(depth))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = list(self.enter(x).chunk(2, dim=1))
            for block in self.inner:
                changed = block(parts[-1])
                parts.append(parts[-1] + changed if self.residual else changed)
            return self.leave(torch.cat(parts, dim=1))

    class PyramidPooling(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.enter, self.leave = conv(channels, channels // 2, 1), conv(2 * channels, channels, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = [self.enter(x)]
            for _ in range(3):
                parts.append(nn.functional.max_pool2d(parts[-1], 5, 1, 2))
            return self.leave(torch.cat(parts, dim=1))

    class Detector(nn.Module):
        def __init__(self, width: int, classes: int) -> None:
            super().__init__()
            a, b, c, d, e = (width * factor for factor in (1, 2, 4, 8, 16))
            self.stem = nn.Sequential(conv(3, a, 3, 2), conv(a, b, 3, 2), Split(b, b, 1, True))
            self.third = nn.Sequential(conv(b, c, 3, 2), Split(c, c, 2, True))
            self.fourth = nn.Sequential(conv(c, d, 3, 2), Split(d, d, 2, True))
            self.fifth = nn.Sequential(conv(d, e, 3, 2), Split(e, e, 1, True), PyramidPooling(e))
            self.up = nn.ModuleList([Split(e + d, d, 1, False), Split(d + c, c, 1, False)])
            self.shrink = nn.ModuleList([conv(c, c, 3, 2), conv(d, d, 3, 2)])
            self.down = nn.ModuleList([Split(c + d, d, 1, False), Split(d + e, e, 1, False)])
            self.boxes, self.classes = self.heads((c, d, e), 64, 64), self.heads((c, d, e), max(c, 16), classes)

        @staticmethod
        def heads(inputs: tuple[int, ...], hidden: int, outputs: int) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(conv(width, hidden), conv(hidden, hidden), nn.Conv2d(hidden, outputs, 1))
                for width in inputs
            )

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            third = self.third(self.stem(x))
            fourth = self.fourth(third)
            fifth = self.fifth(fourth)
            fourth = self.up[0](torch.cat([nn.functional.interpolate(fifth, scale_factor=2.0), fourth], dim=1))
            third = self.up[1](torch.cat([nn.functional.interpolate(fourth, scale_factor=2.0), third], dim=1))
            fourth = self.down[0](torch.cat([self.shrink[0](third), fourth], dim=1))
            fifth = self.down[1](torch.cat([self.shrink[1](fourth), fifth], dim=1))
            levels = (third, fourth, fifth)
            boxes = torch.cat([head(x).flatten(2) for head, x in zip(self.boxes, levels, strict=True)], dim=2)
            scores = torch.cat([head(x).flatten(2) for head, x in zip(self.classes, levels, strict=True)], dim=2)
            sides = boxes.unflatten(1, (4, 16)).softmax(dim=2)  # a distribution over distances for each side
            distance = (sides * torch.arange(16.0, device=x.device)[:, None]).sum(dim=2)
            return distance, scores.sigmoid()

    return weighted(Detector(4, 8) if small else Detector(16, 80), 64 if small else 320)
