"""Joins plain Python kernel sources into compiled kernels; the one home of the compiler's flags.

Kernel sources are undecorated functions that name what varies (`real`, `phi`, `add_product`, ...)
as module globals. `specialise` rebuilds a function and, recursively, every kernel function it
calls, with those names bound to the wanted things, and compiles the result. No closures are made:
a rebuilt function with a name of its own is found by the next process.
"""

from __future__ import annotations

import dis
import threading
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, TypeGuard

import numba

from .cache import keep
from .digest import settings

PACKAGE = __name__.rpartition(".")[0]

SCALAR_MODULES = tuple(f"{PACKAGE}.{name}" for name in ("math", "activations", "random", "cells"))
"""Modules of scalar maths: inlined by LLVM, and never reassociated (their error bounds depend on
the order of operations, as in the two-part range reduction of an exponential)."""

SCALAR_FLAGS: dict[str, Any] = {"fastmath": {"contract"}}
SWEEP_FLAGS: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}}
"""Sums in the sweeps may be reordered, so that they vectorise. Never nnan or ninf: a diverging
network is a result here."""

COMMON_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "debug": False}
"""numpy's error model: the zero-division branch of Python's keeps a loop scalar. No information for
debuggers, whatever NUMBA_DEBUGINFO says: numba 0.68 fails where a body is a docstring alone, and
nothing would be inlined."""

ALLOCATING = ("spectral_norm",)
"""Code with numba's memory manager: LAPACK's wrapper.

All else is compiled without: an allocation does not compile there, and no view of an array is
counted (two locked instructions each; they took half of a step of 16 units)."""

CALLED = (
    "apply_equations",
    "multiply",
    "add_several",
    "project_inputs",
    "collect",
    "add_up",
    "push",
    "gram_schmidt",
    "householder",
    "pivoted_qr",
    "multiply_rows",
    "make_orthogonal",
    "record",
)
"""Inner functions that stay functions. The others are inlined: a call hands over every field of
every array, a few hundred numbers for a tape, which costs a third of a step of 16 units. What is
called only a few times a network need not be compiled several times; and `project_inputs` beside
the time loop of the forward sweep made its steps 1.7 times as long, or not, by a hair."""

Caller = Literal["python", "loop", "kernels"]

CALLER_FLAGS: dict[Caller, dict[str, Any]] = {
    "python": {},
    "loop": {"no_cpython_wrapper": True, "no_cfunc_wrapper": True},
    "kernels": {"no_cpython_wrapper": True, "no_cfunc_wrapper": True},
}
"""By who calls a function: Python; a compiled loop, by its address; other kernels, which take it in
when they are compiled. The wrappers by which Python and C call a function take time to compile."""

OF_CELLS = ("apply_cell", "apply_equations", "step", "linearise", "phi")
"""Names whose meaning differs between architectures. A function that reads none of them, nor calls
one that does, is compiled once for all."""

_compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
_building = threading.RLock()
"""Threads that start together must not each build, and then compile, a kernel of their own."""


Compiler = Callable[[Callable[..., Any], Callable[..., Any], Caller], Callable[..., Any]]
"""Compiles a rebuilt function: (rebuilt, source, caller) -> what can be called."""


def for_cpu(
    rebuilt: Callable[..., Any], source: Callable[..., Any], caller: Caller
) -> Callable[..., Any]:
    """Compile a function for the CPU."""
    if settings.DISABLE_JIT:
        raise RuntimeError("nothing is compiled: NUMBA_DISABLE_JIT is set")
    compiled: Callable[..., Any] = numba.njit(**_flags(source, caller))(rebuilt)
    if caller != "kernels":
        keep(compiled)
    return compiled


def specialise(
    function: Callable[..., Any],
    suffix: str,
    called_from: Caller = "python",
    compiler: Compiler = for_cpu,
    shared: str = "",
    **bindings: Any,
) -> Callable[..., Any]:
    """Compile `function` with module-level names replaced by `bindings`, in all that it calls.

    Parameters
    ----------
    function
        A plain Python function of the kernels package.
    suffix
        Distinguishes this binding from others of the same function; it enters the name under
        which the compiled code is cached, so it must be the same in every process.
    called_from
        What Python or a loop calls is kept on disk (`cache`); see `CALLER_FLAGS`.
    compiler
        For another target than the CPU.
    shared
        The suffix of functions that depend on none of `OF_CELLS`; default `suffix`.
    **bindings
        Values of global names; a kernel function given as value is specialised too.

    Returns
    -------
    callable
        The numba dispatcher, compiled for an argument type on its first call, memoised here.
    """
    key = (function, suffix, called_from, compiler)
    with _building:
        if key not in _compiled:
            rebuilt = _rebuild(function, suffix, compiler, shared or suffix, bindings)
            _compiled[key] = compiler(rebuilt, function, called_from)
        return _compiled[key]


def _flags(function: Callable[..., Any], caller: Caller) -> dict[str, Any]:
    """The compiler's flags for a function of the kernels."""
    name, module = function.__name__, function.__module__
    scalar = module.startswith(SCALAR_MODULES)
    inlined = caller == "kernels" and name not in (*CALLED, *ALLOCATING)
    return {
        **COMMON_FLAGS,
        **(SCALAR_FLAGS if scalar else SWEEP_FLAGS),
        **CALLER_FLAGS[caller],
        "forceinline": inlined,
        "_nrt": name in ALLOCATING,
    }


def _rebuild(
    function: Callable[..., Any],
    suffix: str,
    compiler: Compiler,
    shared: str,
    bindings: dict[str, Any],
) -> types.FunctionType:
    scope = dict(function.__globals__)
    for name in _globals_of(function) & (set(scope) | set(bindings)):
        value = bindings.get(name, scope.get(name))
        if _is_source(value):
            own = suffix if name in OF_CELLS or _depends_on_cell(value) else shared
            value = specialise(value, own, "kernels", compiler, shared, **bindings)
        scope[name] = value
    name = f"{function.__name__}_{suffix}"
    rebuilt = types.FunctionType(function.__code__, scope, name, function.__defaults__)
    rebuilt.__module__, rebuilt.__qualname__ = function.__module__, name
    return rebuilt


def _is_source(value: Any) -> TypeGuard[types.FunctionType]:
    """Whether a global is a function of the kernels, in plain Python."""
    return isinstance(value, types.FunctionType) and value.__module__.startswith(PACKAGE)


@cache
def _depends_on_cell(function: Callable[..., Any]) -> bool:
    """Whether a function reads one of `OF_CELLS`, or calls one that does."""
    names = _globals_of(function)
    called = (function.__globals__.get(name) for name in names)
    return bool(names & set(OF_CELLS)) or any(
        _depends_on_cell(value) for value in called if _is_source(value)
    )


def _globals_of(function: Callable[..., Any]) -> set[str]:
    """Names of globals that a function reads; names of attributes may be the same."""
    return {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}


def switch(cases: Sequence[Callable[..., Any]], arity: int, suffix: str) -> Callable[..., Any]:
    """Compile ``f(case, *arguments)``, which calls ``cases[case](*arguments)``.

    A branch outside a unit loop, so that one compiled sweep serves every activation: a sweep takes
    seconds to compile, a unit loop tenths of a second.
    """
    key = (switch, suffix, arity)
    with _building:
        if key not in _compiled:
            arguments = ", ".join(f"x{i}" for i in range(arity))
            lines = [f"def switch(case, {arguments}):"]
            for index in range(len(cases)):
                lines += [f"    if case == {index}:", f"        case_{index}({arguments})"]
            scope: dict[str, Any] = {f"case_{index}": case for index, case in enumerate(cases)}
            exec("\n".join(lines), scope)
            _compiled[key] = for_cpu(scope["switch"], switch, "kernels")
        return _compiled[key]
