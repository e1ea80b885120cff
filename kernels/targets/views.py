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

INDEX = ir.IntType(32)


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


def four(typing_context: Any, numbers: Any, place: Any) -> Any:
    """Four neighbouring numbers of a row as a tuple, in one instruction.

    `place` is a multiple of four, and the row begins where 16 bytes do.
    """
    if numbers.layout != "C" or numbers.ndim != 1:
        raise TypingError("four wants a row of neighbouring numbers")
    found = types.UniTuple(numbers.dtype, 4)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(numbers)(context, builder, arguments[0])
        vector = ir.VectorType(context.get_data_type(numbers.dtype), 4)
        pointer = builder.gep(source.data, [arguments[1]])
        loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=16)
        entries = [builder.extract_element(loaded, INDEX(k)) for k in range(4)]
        return context.make_tuple(builder, found, entries)

    return found(numbers, types.intp), generate


def of_one(kind: Any) -> Any:
    """Type of one network's arrays, from that of a chunk's."""
    if isinstance(kind, types.Array):
        return kind.copy(ndim=kind.ndim - 1)
    return types.BaseTuple.from_types([of_one(t) for t in kind.types], kind.instance_class)


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
