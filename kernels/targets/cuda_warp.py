"""What the lanes of a warp hand each other in registers; in the simulator, by plain twins."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import cuda
from numba.core import cgutils

from .cuda_views import SIMULATED

WARP = 2 if SIMULATED else 32
"""Lanes of a warp: two in the simulator, so that its blocks of four have several."""

EVERY_LANE = 2**32 - 1
"""All take part."""


def plain_partner(own, distance, room):
    """What the lane has whose number is another in the bit `distance`; by shared memory."""
    lane = cuda.threadIdx.x
    cuda.syncthreads()
    room[lane] = own
    cuda.syncthreads()
    return room[lane ^ distance]


def plain_sum(a, b):
    """A + b."""
    return a + b


def plain_wait():
    """What the lanes of this warp wrote before is there."""
    cuda.syncthreads()


def shuffled(own, distance, room):
    """What the lane has whose number is another in the bit `distance`; `room` is its twin's."""
    return cuda.shfl_xor_sync(EVERY_LANE, own, distance)


def wait():
    """What the lanes of this warp wrote before is there."""
    cuda.syncwarp()


def rounded_sum(typing_context: Any, a: Any, b: Any) -> Any:
    """A + b, never as the end of a fused multiply-add.

    Were a itself a product, its own lane would take it in unrounded, its partner rounded, and they
    would have two sums.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(a)
        name = f"llvm.nvvm.add.rn.{'f' if a.bitwidth == 32 else 'd'}"
        function = ir.FunctionType(kind, [kind, kind])
        add = cgutils.get_or_insert_function(builder.module, function, name)
        return builder.call(add, arguments)

    return a(a, a), generate


partner: Any = plain_partner
sum_of: Any = plain_sum
wait_for_warp: Any = plain_wait

if not SIMULATED:
    from numba.cuda.extending import intrinsic

    partner, wait_for_warp = shuffled, wait
    sum_of = intrinsic(rounded_sum)
