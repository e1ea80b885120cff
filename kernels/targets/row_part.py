"""Functions of a part of a row, in vector instructions: its size, and whether numbers are tiny.

A compiler takes a plain loop over 16 units number by number: its vector loop begins at 32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .vectors import VectorWriter
from .views import check_row


@intrinsic
def own_magnitude(typing_context: Any, row: Any, low: Any, size: Any) -> Any:
    """Sum of the absolute values of row[low], ..., row[low + size - 1]."""
    check_row(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _RowPart(context, builder, row, *arguments).magnitude()

    return row.dtype(row, types.intp, types.intp), generate


@intrinsic
def own_square(typing_context: Any, row: Any, low: Any, size: Any) -> Any:
    """Sum of the squares of row[low], ..., row[low + size - 1]."""
    check_row(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _RowPart(context, builder, row, *arguments).square()

    return row.dtype(row, types.intp, types.intp), generate


@intrinsic
def own_between(typing_context: Any, row: Any, low: Any, size: Any, least: Any, bound: Any) -> Any:
    """1 if least < x < bound for a number x of row[low], ..., row[low + size - 1], else 0.

    0 must not lie between the two bounds: vectors are filled up by zeros.
    """
    check_row(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *part, least, bound = arguments
        found = _RowPart(context, builder, row, *part).between(least, bound)
        return context.cast(builder, found, types.boolean, types.intp)

    real = row.dtype
    return types.intp(row, types.intp, types.intp, real, real), generate


class _RowPart(VectorWriter):
    """A part of a row, vector by vector; the last one is filled up by zeros."""

    def __init__(
        self, context: Any, builder: Any, kind: Any, row: Any, low: Any, size: Any
    ) -> None:
        super().__init__(context, builder, kind.dtype)
        self.start = builder.gep(self.open(kind, row)[0], [low])
        self.count = size

    def magnitude(self) -> Any:
        """Sum of absolute values."""
        return self.sum_of(lambda x, total: self.builder.fadd(total, self.absolute(x)))

    def square(self) -> Any:
        """Sum of squares."""
        return self.sum_of(lambda x, total: self.multiply_add(x, x, total))

    def sum_of(self, add: Callable[[Any, Any], Any]) -> Any:
        """Sum over all numbers; `add` returns a total with a vector added."""
        builder, (total,) = self.builder, self.accumulators(1)
        self.each(lambda x: builder.store(add(x, builder.load(total)), total))
        real = self.vector.element
        reduce = self.function("vector.reduce.fadd", real, real, self.vector)
        zero = ir.Constant(real, 0.0)
        return builder.call(reduce, [zero, builder.load(total)], fastmath=("reassoc",))

    def between(self, least: Any, bound: Any) -> Any:
        """Whether a number is between two others."""
        builder = self.builder
        least, bound = self.splat(least), self.splat(bound)
        found = self.variable(ir.Constant(self.mask, None))

        def look(x: Any) -> None:
            above = builder.fcmp_ordered("<", least, x)
            inside = builder.and_(above, builder.fcmp_ordered("<", x, bound))
            builder.store(builder.or_(builder.load(found), inside), found)

        self.each(look)
        bits = builder.bitcast(builder.load(found), ir.IntType(self.lanes))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    def each(self, use: Callable[[Any], None]) -> None:
        """Hand over all vectors."""
        builder = self.builder
        whole = builder.and_(self.count, self.constant(-self.lanes))
        with self.loop(self.constant(0), whole, self.lanes) as i:
            use(self.load(builder.gep(self.start, [i])))
        rest = builder.sub(self.count, whole)
        with builder.if_then(builder.icmp_signed(">", rest, self.constant(0))):
            lanes = ir.Constant(ir.VectorType(self.index, self.lanes), list(range(self.lanes)))
            mask = builder.icmp_signed("<", lanes, self.splat(rest))
            use(self.load(builder.gep(self.start, [whole]), 0, mask))

    def absolute(self, x: Any) -> Any:
        """Magnitudes."""
        return self.builder.call(self.function("fabs", self.vector, self.vector), [x])
