"""out += rows @ matrix, in vector instructions: where most of a sweep's time goes.

A product of one vector with a matrix is bound by loading the matrix. What a compiler makes of the
plain loops (`cpu.rows_product`, in words) reaches half of what the first cache level delivers: it
guards each loop against overlapping arrays, adds up vectors lane by lane at the end of every row,
and stores partial sums. Here a tile of the output stays in registers while the matrix passes by
once, row by row, each entry of the vector broadcast to all lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .vectors import BOOL, VectorWriter

ONE_ROW = ((8, 1), (4, 2), (2, 4), (1, 8))
FOUR_ROWS = ((4, 1), (2, 1), (1, 2))
"""Tiles (vectors of the output, partial sums of each), the widest first.

The product of the two, and of the number of rows, is the number of independent additions under
way: 8 hide the latency of a multiply-add, 24 registers hold what is left beside operands."""


@intrinsic
def row_product(typing_context: Any, row: Any, matrix: Any, out: Any, backwards: Any) -> Any:
    """Out += row @ matrix, (J,), (J, I) and (I,); see `rows_product`."""
    return _product(row, matrix, out, _Product.emit_one)


@intrinsic
def rows_product(typing_context: Any, rows: Any, matrix: Any, out: Any, backwards: Any) -> Any:
    """Out += rows @ matrix.

    Parameters
    ----------
    rows : (B J,) or (B, J)
        B rows one after the other; or an array of two axes, transposed or not. May be of a shorter
        format than the others.
    matrix : (J, I)
        The entries of a row must be neighbours, here and in `out`.
    out : (B I,) or (B, I)
    backwards : bool
        Walk through the matrix from its end: what a walk in the other direction touched last is
        still in the cache. It reverses the order of the sums.
    """
    return _product(rows, matrix, out, _Product.emit)


def _product(rows: Any, matrix: Any, out: Any, emit: Callable[[_Product, Any], None]) -> Any:
    """Signature and generator of an intrinsic function."""
    if matrix.dtype != out.dtype or rows.dtype.bitwidth > out.dtype.bitwidth:
        raise TypingError("a product wants arrays of one format, or rows of a shorter one")
    if "F" in (matrix.layout, out.layout):
        raise TypingError("a product wants entries of a row to be neighbours")
    if any(array.ndim == 1 and array.layout != "C" for array in (rows, out)):
        raise TypingError("a product wants flat arrays to be contiguous")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        product = _Product(context, builder, signature.args[:3], arguments[:3])
        emit(product, builder.trunc(arguments[3], BOOL))
        return context.get_dummy_value()

    return types.void(rows, matrix, out, types.boolean), generate


class _Product(VectorWriter):
    """Writes the instructions of one product."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        super().__init__(context, builder, kinds[1].dtype)
        opened = [self.open(kind, value) for kind, value in zip(kinds, values, strict=True)]
        (self.rows, row_shape, row_steps), matrix, (self.out, _, out_steps) = opened
        self.matrix, (self.inner, self.width), (self.down, _) = matrix
        flat_rows, flat_out = len(row_steps) == 1, len(out_steps) == 1
        self.count = builder.sdiv(row_shape[0], self.inner) if flat_rows else row_shape[0]
        self.across, self.along = self.inner if flat_rows else row_steps[0], row_steps[-1]
        self.below = self.width if flat_out else out_steps[0]

    def emit_one(self, backwards: Any) -> None:
        """A single row."""
        self.backwards = backwards
        self.strip(self.constant(0), 1, ONE_ROW)

    def emit(self, backwards: Any) -> None:
        """Rows four at a time, so that each vector of the matrix serves four, then one by one.

        Rows that are left over have the partial sums of the others: equal rows give equal products,
        wherever they stand.
        """
        self.backwards = backwards
        four = self.builder.and_(self.count, self.constant(-4))
        with self.loop(self.constant(0), four, 4) as row:
            self.strip(row, 4, FOUR_ROWS)
        few = self.builder.icmp_signed("==", four, self.constant(0))
        with self.builder.if_else(few) as (alone, beside):
            with alone, self.loop(four, self.count, 1) as row:
                self.strip(row, 1, ONE_ROW)
            with beside, self.loop(four, self.count, 1) as row:
                self.strip(row, 1, FOUR_ROWS)

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
        total = [[self.accumulators(sums) for _ in range(vectors)] for _ in range(rows)]

        def add(j: Any, part: int) -> None:
            last = builder.sub(self.inner, self.constant(1))
            j = builder.select(self.backwards, builder.sub(last, j), j)
            start = self.at(self.matrix, j, self.down, column)
            entries = [self.load(start, v, mask) for v in range(vectors)]
            for r in range(rows):
                own = builder.add(row, self.constant(r))
                place = builder.mul(j, self.along)
                x = self.entry(own, place)
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
            start = self.at(self.out, builder.add(row, self.constant(r)), self.below, column)
            for v in range(vectors):
                value = self.tree([builder.load(slot) for slot in total[r][v]])
                self.store(builder.fadd(self.load(start, v, mask), value), start, v, mask)

    def entry(self, row: Any, place: Any) -> Any:
        """A number of the left factor, in all lanes."""
        value = self.builder.load(self.at(self.rows, row, self.across, place))
        if value.type != self.vector.element:
            value = self.builder.fpext(value, self.vector.element)
        return self.splat(value)
