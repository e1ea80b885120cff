"""Views of arrays that cost nothing: written for the compiler, for either target.

Functions of this file are the bodies of numba's ``intrinsic``, whose decorator differs between
targets; `calls` and `cuda_views` apply it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.np.arrayobj import populate_array

VECTOR_BYTES = 16
"""The longest load of a GPU."""

SHARED = 3
"""LLVM's number for the memory of a block."""


def of_network(typing_context: Any, k: Any, place: Any, networks: Any, chunk: Any) -> Any:
    """The arrays of network k, without their first axis.

    Of an array that has not as many entries as there are networks, entry `place`: what networks use
    one after the other.
    """
    own = of_one(chunk)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _select(context, builder, chunk, own, *arguments)

    return own(types.intp, types.intp, types.intp, chunk), generate


def reshaped(typing_context: Any, array: Any, shape: Any) -> Any:
    """A contiguous array in another shape; numba's ``reshape`` is a call of 50 ns."""
    if array.layout != "C":
        raise TypingError("reshaped wants a contiguous array")
    view = array.copy(ndim=len(shape))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(array)(context, builder, arguments[0])
        sizes = cgutils.unpack_tuple(builder, arguments[1], view.ndim)
        strides = [source.itemsize]
        for size in sizes[:0:-1]:
            strides.insert(0, builder.mul(strides[0], size))
        return _view(context, builder, view, source, source.data, sizes, strides)

    return view(array, types.UniTuple(types.intp, view.ndim)), generate


def flat(typing_context: Any, array: Any) -> Any:
    """A contiguous array as one row."""
    if array.layout != "C":
        raise TypingError("flat wants a contiguous array")
    row = array.copy(ndim=1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(array)(context, builder, arguments[0])
        size, stride = [source.nitems], [source.itemsize]
        return _view(context, builder, row, source, source.data, size, stride)

    return row(array), generate


def section(typing_context: Any, row: Any, low: Any, size: Any) -> Any:
    """The numbers low, ..., low + size - 1 of a contiguous row, which has them.

    A slice of Python's, which may be cut short or count from the end, costs 3 ns.
    """
    check_row(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(row)(context, builder, arguments[0])
        data = builder.gep(source.data, [arguments[1]])
        return _view(context, builder, row, source, data, [arguments[2]], [source.itemsize])

    return row(row, types.intp, types.intp), generate


def at(typing_context: Any, array: Any, place: Any) -> Any:
    """A number of a row, by its place, which is not negative.

    That Python counts negative ones from the end takes more instructions than a multiply-add.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, array, arguments))

    return array.dtype(array, types.intp), generate


def four(typing_context: Any, array: Any, place: Any) -> Any:
    """A number of a row and the three after it, in one load, or in two of float64.

    The address must be a multiple of `VECTOR_BYTES`.
    """
    numbers = types.UniTuple(array.dtype, 4)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, array, arguments)
        vector = ir.VectorType(address.type.pointee, 4)
        found = builder.load(builder.bitcast(address, vector.as_pointer()))
        found.align = VECTOR_BYTES
        entries = [builder.extract_element(found, ir.IntType(32)(i)) for i in range(4)]
        return context.make_tuple(builder, numbers, entries)

    return numbers(array, types.intp), generate


def at_shared(typing_context: Any, array: Any, place: Any) -> Any:
    """`at` for a row that the caller knows to be in shared memory, where that is not seen."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, array, arguments)
        shared = ir.PointerType(address.type.pointee, SHARED)
        return builder.load(builder.addrspacecast(address, shared))

    return array.dtype(array, types.intp), generate


def here(typing_context: Any, number: Any) -> Any:
    """An integer of which the compiler does not see that it is known before.

    What is computed of it is computed here, and takes no register of a loop around.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.IntType(64)
        move = ir.FunctionType(kind, [kind])
        return builder.asm(move, "mov.b64 $0, $1;", "=l,l", arguments, True)

    return types.intp(types.intp), generate


def of_one(kind: Any) -> Any:
    """Type of one network's arrays, from that of a chunk's."""
    if isinstance(kind, types.Array):
        return kind.copy(ndim=kind.ndim - 1)
    return types.BaseTuple.from_types([of_one(t) for t in kind.types], kind.instance_class)


def check_row(kind: Any) -> None:
    """Refuse an array that is no contiguous row."""
    if kind.layout != "C" or kind.ndim != 1:
        raise TypingError("the array must be a contiguous row")


def _address(context: Any, builder: Any, kind: Any, arguments: Any) -> Any:
    """Where a number of a contiguous row is."""
    check_row(kind)
    array, place = arguments
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _select(
    context: Any, builder: Any, kind: Any, own: Any, k: Any, place: Any, networks: Any, value: Any
) -> Any:
    """Entry k, or `place`, of every array of nested tuples."""
    if not isinstance(kind, types.Array):
        items = cgutils.unpack_tuple(builder, value, len(kind.types))
        chosen = [
            _select(context, builder, t, o, k, place, networks, item)
            for t, o, item in zip(kind.types, own.types, items, strict=True)
        ]
        return context.make_tuple(builder, own, chosen)
    array = context.make_array(kind)(context, builder, value)
    shape, strides = (
        cgutils.unpack_tuple(builder, a, kind.ndim) for a in (array.shape, array.strides)
    )
    each = builder.icmp_signed("==", shape[0], networks)
    offset = builder.mul(builder.select(each, k, place), strides[0])
    data = cgutils.pointer_add(builder, array.data, offset)
    return _view(context, builder, own, array, data, shape[1:], strides[1:])


def _view(
    context: Any, builder: Any, kind: Any, source: Any, data: Any, shape: Any, strides: Any
) -> Any:
    view = context.make_array(kind)(context, builder)
    populate_array(
        view,
        data=data,
        shape=list(shape),
        strides=list(strides),
        itemsize=source.itemsize,
        meminfo=None,
    )
    return view._getvalue()
