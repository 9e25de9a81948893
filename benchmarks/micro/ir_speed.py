"""10,000 operations: build, verify, print and parse, in our IR and in xDSL's."""

from __future__ import annotations

from io import StringIO

import mm_core as mm
from benchmarks.micro.figures import Figure, fastest

OPERATIONS = 10_000
ELEMENTWISE = ("add", "mul", "sub", "maximum")


def measure() -> list[Figure]:
    return [*_ours(), *_xdsl()]


def _ours() -> list[Figure]:
    def build() -> mm.Network:
        network = mm.Network("speed")
        x = y = network.add_input("x", mm.float32, ("N", 64))
        for index in range(OPERATIONS):
            y = getattr(network, ELEMENTWISE[index % 4])(y, x)
        network.mark_output(y, "y")
        return network

    network = build()
    text = str(network)
    return _figures(
        "mm", fastest(build), fastest(network.verify), fastest(lambda: str(network)),
        fastest(lambda: mm.Network.from_text(text)), limit=2.0,
    )  # fmt: skip


def _xdsl() -> list[Figure]:
    from xdsl.builder import Builder
    from xdsl.context import Context
    from xdsl.dialects import arith, builtin, func
    from xdsl.parser import Parser
    from xdsl.printer import Printer

    classes = (arith.AddfOp, arith.MulfOp, arith.SubfOp, arith.MaximumfOp)
    tensor = builtin.TensorType(builtin.f32, [builtin.DYNAMIC_INDEX, 64])

    def build() -> builtin.ModuleOp:
        @Builder.implicit_region([tensor])
        def body(arguments: tuple) -> None:
            x = y = arguments[0]
            for index in range(OPERATIONS):
                y = classes[index % 4](y, x).result
            func.ReturnOp(y)

        return builtin.ModuleOp([func.FuncOp("speed", ([tensor], [tensor]), body)])

    def text_of(module: builtin.ModuleOp) -> str:
        stream = StringIO()
        Printer(stream, print_generic_format=True).print_op(module)
        return stream.getvalue()

    def parse(text: str) -> builtin.ModuleOp:
        context = Context()
        for dialect in (builtin.Builtin, func.Func, arith.Arith):
            context.load_dialect(dialect)
        return Parser(context, text).parse_module()

    module = build()
    text = text_of(module)
    return _figures(
        "xDSL", fastest(build), fastest(module.verify), fastest(lambda: text_of(module)), fastest(lambda: parse(text))
    )


def _figures(
    name: str, build: float, verify: float, write: float, read: float, limit: float | None = None
) -> list[Figure]:
    label = f"{name}, {OPERATIONS:,} operations:"
    return [
        Figure(f"{label} build", build),
        Figure(f"{label} verify", verify),
        Figure(f"{label} print", write),
        Figure(f"{label} parse", read),
        Figure(f"{label} all four", build + verify + write + read, limit),
    ]
