"""Orthonormal columns, as many as a vector has lanes, in vector instructions.

The step of `gram_schmidt` that is no product of matrices. A row of the panel is one vector: all
inner products with a column come out of one pass over the rows, without adding up lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .vectors import INT, VectorWriter

SUMS = 4
"""Partial sums of an inner product: they hide the latency of an addition."""


@intrinsic
def orthonormalise_panel(typing_context: Any, panel: Any, diagonal: Any) -> Any:
    """Q R = panel by modified Gram-Schmidt; a zero column stays zero.

    Parameters
    ----------
    panel : (M, lanes), entries of a row neighbours
        The columns; receives Q.
    diagonal : (lanes,)
        Receives R[j, j].
    """
    if panel.dtype != diagonal.dtype or panel.layout == "F" or diagonal.layout != "C":
        raise TypingError("orthonormalise_panel wants rows of neighbours, of one format")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Panel(context, builder, signature.args, arguments).emit()
        return context.get_dummy_value()

    return types.void(panel, diagonal), generate


class _Panel(VectorWriter):
    """Writes the instructions of one `orthonormalise_panel`."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        super().__init__(context, builder, kinds[0].dtype)
        self.panel, (self.count, _), (self.down, _) = self.open(kinds[0], values[0])
        self.diagonal, _, _ = self.open(kinds[1], values[1])

    def emit(self) -> None:
        """Column after column: take it out of all later ones.

        Columns are divided by their lengths at the end, all at once.
        """
        builder = self.builder
        products, squares = self.sweep(0, None), self.zero
        for j in range(self.lanes):
            square = self.lane(products, j)
            squares = self.blend([j], square, squares)
            if j + 1 < self.lanes:
                ratio = self.divided(products, square)
                later = range(j + 1, self.lanes)
                products = self.sweep(j + 1, self.blend(later, ratio, self.zero))
        root = self.function("sqrt", self.vector, self.vector)
        length = builder.call(root, [squares])
        self.store(length, self.diagonal)
        one = ir.Constant(self.vector, self.lanes * [1.0])
        inverse = self.divided(one, length)
        with self.loop(self.constant(0), self.count, 1) as row:
            start = self.row(row)
            self.store(builder.fmul(self.load(start), inverse), start)

    def sweep(self, j: int, ratio: Any) -> Any:
        """Subtract ratio times column j - 1; returns all columns' inner products with column j."""
        builder, total = self.builder, self.accumulators(SUMS)

        def add(row: Any, part: int) -> None:
            start = self.row(row)
            x = self.load(start)
            if ratio is not None:
                taken = self.lane(x, j - 1)
                x = self.multiply_add(builder.fneg(taken), ratio, x)
                self.store(x, start)
            slot = total[part]
            builder.store(self.multiply_add(self.lane(x, j), x, builder.load(slot)), slot)

        whole = builder.and_(self.count, self.constant(-SUMS))
        with self.loop(self.constant(0), whole, SUMS) as row:
            for part in range(SUMS):
                add(builder.add(row, self.constant(part)), part)
        with self.loop(whole, self.count, 1) as row:
            add(row, 0)
        return self.tree([builder.load(slot) for slot in total])

    def divided(self, vector: Any, by: Any) -> Any:
        """Vector / by, 0 where `by` is 0; NaN stays NaN."""
        zero = self.builder.fcmp_ordered("==", by, self.zero)
        return self.builder.select(zero, self.zero, self.builder.fdiv(vector, by))

    def row(self, row: Any) -> Any:
        """Address of a row of the panel."""
        return self.at(self.panel, row, self.down, self.constant(0))

    def lane(self, vector: Any, j: int) -> Any:
        """Lane j in all lanes."""
        which = ir.Constant(ir.VectorType(INT, self.lanes), self.lanes * [j])
        return self.builder.shuffle_vector(vector, ir.Constant(self.vector, ir.Undefined), which)

    def blend(self, lanes: Iterable[int], these: Any, others: Any) -> Any:
        """`these` in some lanes, `others` in the rest."""
        choice = [j if j in set(lanes) else self.lanes + j for j in range(self.lanes)]
        which = ir.Constant(ir.VectorType(INT, self.lanes), choice)
        return self.builder.shuffle_vector(these, others, which)
