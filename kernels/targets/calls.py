"""How a compiled loop over networks calls compiled sweeps that it does not know.

A sweep is compiled by itself, once for each architecture (forward) or for all of them (the others),
and called by its address. Compiled together, every combination of sweeps with every architecture
would be a kernel of its own, seconds each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from . import views


def address(body: Callable[..., Any], setting: types.Type, chunk: types.Type) -> int:
    """Where the machine code of a sweep is, compiled for one network of such chunks."""
    kinds = types.void(setting, views.of_one(chunk))
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


of_network = intrinsic(views.of_network)
reshaped = intrinsic(views.reshaped)
flat = intrinsic(views.flat)
section = intrinsic(views.section)
