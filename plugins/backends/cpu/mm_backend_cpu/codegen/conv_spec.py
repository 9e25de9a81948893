"""What a convolution computes: the sizes of its images, its window and its epilogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.errors import CompileError
from mm_core.types import Dim

from .contraction import Placement
from .expression import Epilogue
from .quads import ByteInput
from .register_tile import NO_EPILOGUE


@dataclass(frozen=True)
class Depth:
    """The third spatial dimension, in front of height and width. The default is that of an image."""

    size: Dim = 1
    kernel: int = 1
    stride: int = 1
    pads: tuple[int, int] = (0, 0)
    dilation: int = 1

    @property
    def window(self) -> int:
        """Places that the dilated kernel covers."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def output(self) -> Dim:
        """Size of the output."""
        return (self.size + sum(self.pads) - self.window) // self.stride + 1

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing to walk along."""
        return self == Depth()


@dataclass(frozen=True)
class ConvSpec:
    """A float32 convolution in two spatial dimensions, or three with a `depth`; one dimension is a height or a width.

    `channels` and `outputs` are those of all groups together; `pads` are top, left, bottom, right, and crop where they
    are negative. The kernel's inputs are the images, the packed weights and those of the epilogue; its output is NHWC,
    or lies in a larger one where the `placement` says. If the images are of `bytes`, each of their channels is a quad.
    """

    images: Dim
    channels: int
    height: Dim
    width: Dim
    outputs: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    input_layout: Literal["NHWC", "NCHW"] = "NHWC"
    epilogue: Epilogue = NO_EPILOGUE
    bytes: ByteInput | None = None
    depth: Depth = Depth()
    placement: Placement | None = None

    def __post_init__(self) -> None:
        sizes = (self.channels, self.outputs, self.groups, *self.kernel, *self.strides, *self.dilations)
        if min(*sizes, self.depth.kernel, self.depth.stride, self.depth.dilation) < 1:
            raise CompileError(f"a convolution has a size that is not positive: {self}")
        if self.channels % self.groups or self.outputs % self.groups:
            raise CompileError(
                f"{self.channels} input and {self.outputs} output channels do not divide into {self.groups} groups"
            )
        outputs = (self.depth.output, self.output_height, self.output_width)
        if any(isinstance(size, int) and size < 0 for size in outputs):
            raise CompileError(f"the window of a convolution is larger than its padded input: {self}")

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that the dilated kernel covers."""
        return (self.kernel[0] - 1) * self.dilations[0] + 1, (self.kernel[1] - 1) * self.dilations[1] + 1

    @property
    def output_height(self) -> Dim:
        """Rows of the output."""
        return (self.height + self.pads[0] + self.pads[2] - self.window[0]) // self.strides[0] + 1

    @property
    def output_width(self) -> Dim:
        """Columns of the output."""
        return (self.width + self.pads[1] + self.pads[3] - self.window[1]) // self.strides[1] + 1

    @property
    def has_known_size(self) -> bool:
        """Whether rows and columns of the images are known."""
        return isinstance(self.height, int) and isinstance(self.width, int)

    @property
    def output_pixels(self) -> Dim:
        """Pixels of the outputs of all images."""
        return self.images * self.depth.output * self.output_height * self.output_width

    @property
    def input_elements(self) -> Dim:
        """Elements of all images."""
        return self.images * self.depth.size * self.height * self.width * self.channels

    @property
    def taps(self) -> int:
        """Places of the kernel."""
        return self.depth.kernel * self.kernel[0] * self.kernel[1]

    @property
    def is_pointwise(self) -> bool:
        """Whether it is one matrix product over all pixels."""
        steps = (*self.strides, self.depth.stride)
        return self.taps == 1 and steps == (1, 1, 1) and not self.needs_strip and self.placement is None

    @property
    def needs_strip(self) -> bool:
        """Whether the input is copied before it is read."""
        copied = self.input_layout == "NCHW" or (self.bytes is not None and self.bytes.copied)
        return copied or any(self.pads) or any(self.depth.pads)


def dense_placement(spec: ConvSpec) -> Placement:
    """Where pixels lie in an output that holds nothing else."""
    row = spec.output_width * spec.outputs
    return Placement(spec.output_height * row, row, spec.outputs)
