"""out += rows @ matrix, in vector instructions: where most of a sweep's time goes.

A product of one vector with a matrix is bound by loading the matrix. What a compiler makes of the
plain loops (`cpu.add_product`, in words) reaches half of what the first cache level delivers: it
guards each loop against overlapping arrays, adds up vectors lane by lane at the end of every row,
and stores partial sums. Here a tile of the output stays in registers while the matrix passes by
once, row by row, each entry of the vector broadcast to all lanes. The vectors are the compiler's
own type: on a processor with shorter ones it splits them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

VECTOR_BYTES = 64

ONE_ROW = ((8, 1), (4, 2), (2, 4), (1, 8))
FOUR_ROWS = ((4, 1), (2, 1), (1, 2))
"""Tiles (vectors of the output, partial sums of each), the widest first.

The product of the two, and of the number of rows, is the number of independent additions under
way: 8 hide the latency of a multiply-add, 24 registers hold what is left beside operands."""

INT, BOOL = ir.IntType(32), ir.IntType(1)


@intrinsic
def add_product(typing_context: Any, rows: Any, matrix: Any, out: Any, backwards: Any) -> Any:
    """Out += rows @ matrix.

    Parameters
    ----------
    rows : (B J,) or (B, J)
        B rows one after the other; or an array of two axes, contiguous or not.
    matrix : (J, I)
    out : (B I,) or (B, I)
    backwards : bool
        Walk through the matrix from its end: what a walk in the other direction touched last is
        still in the cache. It reverses the order of the sums.
    """
    contiguous = matrix.layout == out.layout == "C" and (rows.layout == "C" or rows.ndim == 2)
    if not contiguous or not rows.dtype == matrix.dtype == out.dtype:
        raise TypingError("add_product wants contiguous arrays of one format")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        ]
        real = context.get_value_type(matrix.dtype)
        product = _Product(builder, real, context.get_abi_sizeof(real), *arrays)
        product.emit(builder.trunc(arguments[3], BOOL))
        return context.get_dummy_value()

    return types.void(rows, matrix, out, types.boolean), generate


class _Product:
    """Writes the instructions of one `add_product`."""

    def __init__(self, builder: Any, real: Any, size: int, rows: Any, matrix: Any, out: Any):
        self.builder, self.size, self.lanes = builder, size, VECTOR_BYTES // size
        self.rows, self.matrix, self.out = rows.data, matrix.data, out.data
        self.inner, self.width = cgutils.unpack_tuple(builder, matrix.shape, 2)
        self.index = self.inner.type
        self.count = builder.sdiv(rows.nitems, self.inner)
        strides = cgutils.unpack_tuple(builder, rows.strides)
        item = self.constant(size)
        self.along = builder.sdiv(strides[-1], item)
        self.across = builder.sdiv(strides[0], item) if len(strides) == 2 else self.inner
        self.vector = ir.VectorType(real, self.lanes)
        self.mask = ir.VectorType(BOOL, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    def emit(self, backwards: Any) -> None:
        """Rows four at a time, so that each vector of the matrix serves four, then one by one."""
        self.backwards = backwards
        four = self.builder.and_(self.count, self.constant(-4))
        with self.loop(self.constant(0), four, 4) as row:
            self.strip(row, 4, FOUR_ROWS)
        with self.loop(four, self.count, 1) as row:
            self.strip(row, 1, ONE_ROW)

    def strip(self, row: Any, rows: int, tiles: tuple[tuple[int, int], ...]) -> None:
        """All columns of some rows: as many of the widest tile as fit, then one of each other."""
        builder = self.builder
        (widest, sums), *others = tiles
        step = widest * self.lanes
        whole = builder.and_(self.width, self.constant(-step))
        with self.loop(self.constant(0), whole, step) as ahead:
            last = builder.sub(whole, self.constant(step))
            column = builder.select(self.backwards, builder.sub(last, ahead), ahead)
            self.tile(row, rows, column, widest, sums)
        column = whole
        for vectors, sums in others:
            step = vectors * self.lanes
            fits = builder.and_(self.width, self.constant(step))
            with builder.if_then(builder.icmp_unsigned("!=", fits, self.constant(0))):
                self.tile(row, rows, column, vectors, sums)
            column = builder.add(column, fits)
        with builder.if_then(builder.icmp_signed("<", column, self.width)):
            lanes = ir.Constant(ir.VectorType(self.index, self.lanes), list(range(self.lanes)))
            rest = self.splat(builder.sub(self.width, column))
            self.tile(row, rows, column, 1, others[-1][1], builder.icmp_signed("<", lanes, rest))

    def tile(
        self, row: Any, rows: int, column: Any, vectors: int, sums: int, mask: Any = None
    ) -> None:
        """A tile of the output, `rows` by `vectors`, each vector in several partial sums."""
        builder = self.builder
        total = [
            [
                [cgutils.alloca_once_value(builder, self.zero) for _ in range(sums)]
                for _ in range(vectors)
            ]
            for _ in range(rows)
        ]
        for slot in (slot for a in total for b in a for slot in b):
            builder.store(self.zero, slot)

        def add(j: Any, part: int) -> None:
            last = builder.sub(self.inner, self.constant(1))
            j = builder.select(self.backwards, builder.sub(last, j), j)
            start = self.at(self.matrix, j, self.width, column)
            entries = [self.load(start, v, mask) for v in range(vectors)]
            for r in range(rows):
                own = builder.add(row, self.constant(r))
                place = builder.mul(j, self.along)
                x = self.splat(builder.load(self.at(self.rows, own, self.across, place)))
                for v in range(vectors):
                    slot = total[r][v][part]
                    builder.store(self.multiply_add(entries[v], x, builder.load(slot)), slot)

        whole = builder.and_(self.inner, self.constant(-sums))
        with self.loop(self.constant(0), whole, sums) as j:
            for part in range(sums):
                add(builder.add(j, self.constant(part)), part)
        with self.loop(whole, self.inner, 1) as j:
            add(j, 0)
        for r in range(rows):
            start = self.at(self.out, builder.add(row, self.constant(r)), self.width, column)
            for v in range(vectors):
                value = self.tree([builder.load(slot) for slot in total[r][v]])
                self.store(builder.fadd(self.load(start, v, mask), value), start, v, mask)

    def tree(self, values: list[Any]) -> Any:
        """Sum of a power of two of vectors, in pairs."""
        while len(values) > 1:
            values = [
                self.builder.fadd(a, b) for a, b in zip(values[::2], values[1::2], strict=True)
            ]
        return values[0]

    def constant(self, value: int) -> Any:
        """An index."""
        return ir.Constant(self.index, value)

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int) -> Iterator[Any]:
        """``for i in range(start, stop, step)``."""
        step = self.constant(step)
        with cgutils.for_range_slice(self.builder, start, stop, step, self.index) as (i, _):
            yield i

    def at(self, array: Any, row: Any, width: Any, column: Any) -> Any:
        """Address of an element."""
        builder = self.builder
        return builder.gep(array, [builder.add(builder.mul(row, width), column)])

    def splat(self, value: Any) -> Any:
        """A number in all lanes."""
        kind = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(INT, 0))
        nowhere = ir.Constant(ir.VectorType(INT, self.lanes), None)
        return self.builder.shuffle_vector(first, undefined, nowhere)

    def load(self, start: Any, v: int, mask: Any) -> Any:
        """The v-th vector from an address on."""
        builder, vector = self.builder, self.vector
        address = builder.gep(start, [self.constant(v * self.lanes)])
        if mask is not None:
            load = self.function("masked.load", vector, address.type, INT, self.mask, vector)
            return builder.call(load, [address, ir.Constant(INT, self.size), mask, self.zero])
        found = builder.load(builder.bitcast(address, vector.as_pointer()))
        found.align = self.size
        return found

    def store(self, value: Any, start: Any, v: int, mask: Any) -> None:
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

    def function(self, name: str, returned: Any, *arguments: Any) -> Any:
        """An intrinsic function of LLVM."""
        address = ".p0" if name.startswith("masked") else ""
        full = f"llvm.{name}.v{self.lanes}f{8 * self.size}{address}"
        kind = ir.FunctionType(returned, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, full)
