"""One block of lanes on its way through a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .races import WARP

if TYPE_CHECKING:
    from .machine import Machine


class DeadlockError(RuntimeError):
    """Lanes wait for others that will never come."""


class Active:
    """The lanes that do a step together, and of how many warps they are."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask
        self.full = bool(mask.all())
        self.lanes = np.flatnonzero(mask)
        self.warps = np.unique(self.lanes // WARP).size


class Block:
    """A block of threads. Those that are furthest behind in the program run first.

    Threads that took different ways through a branch so meet again where the ways do.
    """

    def __init__(self, machine: Machine, values: list[Any]) -> None:
        self.machine, self.values = machine, values
        self.memory, self.watch = machine.memory, machine.watch
        self.ready = {0: np.ones(machine.lanes, bool)}
        self.parked: dict[int, Any] = {}
        self.at = 0
        self._known: dict[bytes, Active] = {}

    def run(self) -> None:
        """Until all lanes have come to the end."""
        while self.ready:
            at = min(self.ready)
            active = self.active(self.ready.pop(at))
            self._advance(at, active, min(self.ready, default=len(self.machine.steps)))
        if self.parked:
            program = self.machine.program
            waiting = [
                f"{program.instructions[at]}: lanes {np.flatnonzero(mask).tolist()}"
                for at, mask in self.parked.items()
            ]
            raise DeadlockError("lanes wait for others that never come: " + "; ".join(waiting))
        if self.watch:
            self.watch.barrier()

    def _advance(self, at: int, active: Active, limit: int) -> None:
        """Up to a branch, a barrier, or where other lanes stand."""
        first, steps = at, self.machine.steps
        try:
            while at < limit and not steps[at].control:
                self.at = at
                steps[at].run(self, active)
                at += 1
            if at < limit:
                steps[at].leave(self, at, active)
            else:
                self.go(at, active.mask)
        except (LookupError, TypeError) as error:
            raise type(error)(f"{self.machine.program.instructions[at]}: {error}") from error
        self.machine.tally.add(first, min(at + 1, limit), active.lanes.size, active.warps)

    def go(self, to: int, mask: Any) -> None:
        """Let lanes run on from there."""
        if mask.any():
            self.ready[to] = self.ready[to] | mask if to in self.ready else mask

    def chosen(self, guard: tuple[int, bool], active: Active) -> Active:
        """The lanes whose predicate has the wanted value."""
        predicate, wanted = guard
        return self.active(active.mask & (self.values[predicate] == wanted))

    def active(self, mask: Any) -> Active:
        """The lanes of a mask; the same few come again and again."""
        key = mask.tobytes()
        if key not in self._known:
            self._known[key] = Active(mask)
        return self._known[key]

    def write(self, register: int, values: Any, active: Active) -> None:
        """Set a register of the active lanes; there is a value for every lane."""
        if not active.full:
            values = np.where(active.mask, values, self.values[register])
        self.values[register] = values

    def write_own(self, register: int, values: Any, active: Active) -> None:
        """Set a register of the active lanes; there is a value for each of them."""
        if active.full:
            self.values[register] = values
        else:
            mixed = self.values[register].copy()
            mixed[active.lanes] = values
            self.values[register] = mixed

    def record(self, places: Any, active: Active, numbers: Any, writes: bool) -> None:
        """Let the watch know of an access to memory."""
        if self.watch:
            self.watch.record(self.at, places, active.lanes, numbers, writes)
