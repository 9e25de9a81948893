"""The epilogue functor of a library kernel (kernels/epilogue.h): an expression on each tile before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_backend_mlu.codegen.expression import C_TYPES, SIZES, Expression
from mm_backend_mlu.codegen.tile_code import Tile, tile_code

_SLOT_BYTES = 4


@dataclass(frozen=True, slots=True)
class EpilogueCode:
    """A functor at file scope, C parameters of the buffers it reads, and the bytes it wants of NRAM.

    `declaration` is a statement that makes the local `epilogue`. `channels` are bytes for each channel; `tensors` and
    `scratch` for each element of a tile.
    """

    definitions: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    declaration: str = "const mm::NoEpilogue epilogue = mm::NoEpilogue();"
    includes: tuple[str, ...] = ()
    channels: int = 0
    tensors: int = 0
    scratch: int = 0


NO_EPILOGUE = EpilogueCode()


def epilogue_code(expression: Expression, along_channels: Sequence[bool], note: str) -> EpilogueCode:
    """The functor of an expression whose input 0 is the tile; of its further inputs, which vary along channels only."""
    ctypes = [C_TYPES[dtype] for dtype in expression.inputs]
    names = [("vector" if vector else "tensor") + str(number) for number, vector in enumerate(along_channels, 1)]
    tiles = [Tile("values", ctypes[0])]
    pointers, load_channels, load_tile = [], [], []
    channels = tensors = 0
    for name, ctype, vector in zip(names, ctypes[1:], along_channels):
        if vector:
            place = f"({ctype} *)(channels + {channels} * tile.pitch)"
            load_channels.append(f"mm::load_channel_vector({place}, {name}_at, tile);")
            channels += SIZES[ctype]
        else:
            place = f"({ctype} *)(tensors + {tensors} * tile.count())"
            load_tile.append(f"mm::load_tensor({place}, {name}_at, tile);")
            tensors += SIZES[ctype]
        pointers.append(f"{ctype} *{name} = {place};")
        tiles.append(Tile(name, ctype, "tile.pitch" if vector else ""))
    code = tile_code(expression, tiles, tiles[:1], "count", _slot)
    declared = [f"const {ctype} *{name}_at;" for ctype, name in zip(ctypes[1:], names)]
    lines = [
        f"// {note}",
        "struct $symbol_epilogue {",
        *(f"  {line}" for line in declared),
        *([""] if declared else []),
        *_method("load_channels(char *channels, const mm::Tile &tile)", load_channels),
        *_method("load_tile(char *tensors, const mm::Tile &tile)", load_tile),
        *_method(
            f"apply({ctypes[0]} *values, char *channels, char *tensors, char *scratch, const mm::Tile &tile)",
            ["const int count = tile.count();", *pointers, *code.statements],
        ),
        "};",
    ]
    handed = ", ".join(f"{name}_at" for name in names)
    return EpilogueCode(
        ("\n".join(lines),),
        tuple(f"const {ctype} *{name}_at" for ctype, name in zip(ctypes[1:], names)),
        f"const $symbol_epilogue epilogue = {{{handed}}};",
        ("kernels/vector.h", "kernels/scalar.h"),
        channels,
        tensors,
        code.slots * _SLOT_BYTES,
    )


def _slot(ctype: str, number: int) -> str:
    return f"({ctype} *)(scratch + {number * _SLOT_BYTES} * count)"


def _method(head: str, body: Sequence[str]) -> list[str]:
    return [f"  __mlu_device__ void {head} const {{", *(f"    {line}" for line in body), "  }"]
