"""Writes vector instructions: what the primitives that are written in them have in common.

The vectors are the compiler's own type: on a processor with shorter ones it splits them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

VECTOR_BYTES = 64

INT, BOOL = ir.IntType(32), ir.IntType(1)


class VectorWriter:
    """Loops, vectors in memory and vectors in registers.

    Parameters
    ----------
    context, builder
        As numba hands them to the generator of an intrinsic function.
    dtype : numba.types.Float
        The number format.
    """

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        real = context.get_value_type(dtype)
        self.context, self.builder = context, builder
        self.size = context.get_abi_sizeof(real)
        self.index = context.get_value_type(types.intp)
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(real, self.lanes)
        self.mask = ir.VectorType(BOOL, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    def constant(self, value: int) -> Any:
        """An index."""
        return ir.Constant(self.index, value)

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int) -> Iterator[Any]:
        """``for i in range(start, stop, step)``."""
        step = self.constant(step)
        with cgutils.for_range_slice(self.builder, start, stop, step, self.index) as (i, _):
            yield i

    def at(self, array: Any, row: Any, distance: Any, column: Any) -> Any:
        """Address of an element; `distance`: numbers from a row to the next."""
        builder = self.builder
        return builder.gep(array, [builder.add(builder.mul(row, distance), column)])

    def open(self, kind: Any, value: Any) -> tuple[Any, list[Any], list[Any]]:
        """Of an array: its data, its shape, and how far an axis' next entry is, in numbers."""
        array = self.context.make_array(kind)(self.context, self.builder, value)
        shape, strides = (
            cgutils.unpack_tuple(self.builder, a, kind.ndim) for a in (array.shape, array.strides)
        )
        if kind.layout == "C" and kind.ndim <= 2:  # known when it is compiled: 4 % of a small step
            return array.data, shape, [*shape[1:], self.constant(1)]
        item = self.constant(kind.dtype.bitwidth // 8)
        return array.data, shape, [self.builder.sdiv(stride, item) for stride in strides]

    def variable(self, value: Any) -> Any:
        """A variable of a first value, which LLVM keeps in a register."""
        slot = cgutils.alloca_once_value(self.builder, value)
        self.builder.store(value, slot)
        return slot

    def accumulators(self, count: int) -> list[Any]:
        """Vectors, zero at first."""
        return [self.variable(self.zero) for _ in range(count)]

    def splat(self, value: Any) -> Any:
        """A number in all lanes."""
        kind = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(INT, 0))
        nowhere = ir.Constant(ir.VectorType(INT, self.lanes), None)
        return self.builder.shuffle_vector(first, undefined, nowhere)

    def load(self, start: Any, v: int = 0, mask: Any = None) -> Any:
        """The v-th vector from an address on."""
        builder, vector = self.builder, self.vector
        address = builder.gep(start, [self.constant(v * self.lanes)])
        if mask is not None:
            load = self.function("masked.load", vector, address.type, INT, self.mask, vector)
            return builder.call(load, [address, ir.Constant(INT, self.size), mask, self.zero])
        found = builder.load(builder.bitcast(address, vector.as_pointer()))
        found.align = self.size
        return found

    def store(self, value: Any, start: Any, v: int = 0, mask: Any = None) -> None:
        """Inverse of `load`."""
        builder, nothing = self.builder, ir.VoidType()
        address = builder.gep(start, [self.constant(v * self.lanes)])
        if mask is not None:
            store = self.function(
                "masked.store", nothing, self.vector, address.type, INT, self.mask
            )
            builder.call(store, [value, address, ir.Constant(INT, self.size), mask])
            return
        place = builder.bitcast(address, self.vector.as_pointer())
        builder.store(value, place).align = self.size

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """A b + c, in one instruction where there is one."""
        function = self.function("fmuladd", self.vector, *3 * [self.vector])
        return self.builder.call(function, [a, b, c])

    def tree(self, values: list[Any]) -> Any:
        """Sum of a power of two of vectors, in pairs."""
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [self.builder.fadd(a, b) for a, b in pairs]
        return values[0]

    def function(self, name: str, returned: Any, *arguments: Any) -> Any:
        """An intrinsic function of LLVM."""
        address = ".p0" if name.startswith("masked") else ""
        full = f"llvm.{name}.v{self.lanes}f{8 * self.size}{address}"
        kind = ir.FunctionType(returned, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, full)
