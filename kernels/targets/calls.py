"""How a compiled loop over networks calls compiled sweeps that it does not know.

A sweep is compiled by itself, once for each architecture (forward) or for all of them (the others),
and called by its address. Compiled together, every combination of sweeps with every architecture
would be a kernel of its own, seconds each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils, types
from numba.core.base import BaseContext
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def address(body: Callable[..., Any], setting: types.Type, chunk: types.Type) -> int:
    """Where the machine code of a sweep is, compiled for one network of such chunks."""
    kinds = types.void(setting, _of_one(chunk))
    result = body.get_compile_result(kinds)  # type: ignore[attr-defined]
    found = int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
    if found == 0:
        raise RuntimeError(f"no machine code of {result.fndesc.qualname}")
    return found


@intrinsic
def call(typing_context: Any, body: Any, setting: Any, network: Any) -> Any:
    """Run the sweep at the address `body`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        convention, kinds = context.call_conv, signature.args[1:]
        kind = convention.get_function_type(types.none, kinds)
        sweep = builder.inttoptr(arguments[0], kind.as_pointer())
        status, _ = convention.call_function(builder, sweep, types.none, kinds, arguments[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, setting, network), generate


@intrinsic
def of_network(typing_context: Any, k: Any, chunk: Any) -> Any:
    """The arrays of network k, without their first axis; of an array of length 1, what it holds."""
    own = _of_one(chunk)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _select(context, builder, chunk, own, *arguments)

    return own(types.intp, chunk), generate


@intrinsic
def flat(typing_context: Any, array: Any) -> Any:
    """A contiguous array as one row; numba's ``reshape`` is a call of 50 ns."""
    if array.layout != "C":
        raise TypingError("flat wants a contiguous array")
    row = array.copy(ndim=1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(array)(context, builder, arguments[0])
        view = context.make_array(row)(context, builder)
        populate_array(
            view,
            data=source.data,
            shape=[source.nitems],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=None,
        )
        return view._getvalue()

    return row(array), generate


def _of_one(kind: Any) -> Any:
    """Type of one network's arrays, from that of a chunk's."""
    if isinstance(kind, types.Array):
        return kind.copy(ndim=kind.ndim - 1)
    return types.BaseTuple.from_types([_of_one(t) for t in kind.types], kind.instance_class)


def _select(context: BaseContext, builder: Any, kind: Any, own: Any, k: Any, value: Any) -> Any:
    """Entry k of every array of nested tuples."""
    if not isinstance(kind, types.Array):
        items = cgutils.unpack_tuple(builder, value, len(kind.types))
        chosen = [
            _select(context, builder, t, o, k, item)
            for t, o, item in zip(kind.types, own.types, items, strict=True)
        ]
        return context.make_tuple(builder, own, chosen)
    array = context.make_array(kind)(context, builder, value)
    shape, strides = (
        cgutils.unpack_tuple(builder, a, kind.ndim) for a in (array.shape, array.strides)
    )
    shared = builder.icmp_signed("==", shape[0], shape[0].type(1))
    offset = builder.select(shared, k.type(0), builder.mul(k, strides[0]))
    view = context.make_array(own)(context, builder)
    populate_array(
        view,
        data=cgutils.pointer_add(builder, array.data, offset),
        shape=shape[1:],
        strides=strides[1:],
        itemsize=array.itemsize,
        meminfo=None,
    )
    return view._getvalue()
