"""PTX text as a list of instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

INSTRUCTION = re.compile(r"(?:@(!?%\w+)\s+)?([a-z][\w.]*)\s*(.*);")
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
PARAMETER = re.compile(r"\.param \.(\w+) ([\w$]+),?")
REGISTERS = re.compile(r"\.reg \.(\w+)\s+(%[a-z]+)(?:<\d+>)?;")
SHARED = re.compile(r"\.extern \.shared \.align (\d+) \.b8 (\w+)\[\];")
IDLE = ("//", ".version", ".target", ".address_size", ".pragma", ".common .global", ".visible")
"""Lines that change nothing of what is done."""


class UnknownError(NotImplementedError):
    """Something in the text that the machine does not know."""


class Instruction(NamedTuple):
    """One line: ``@guard opcode operands;``."""

    line: int
    guard: str
    opcode: str
    operands: tuple[str, ...]

    def __str__(self) -> str:
        guard = f"@{self.guard} " if self.guard else ""
        return f"line {self.line}: {guard}{self.opcode} {', '.join(self.operands)}"


@dataclass
class Program:
    """A kernel: the one entry of its text.

    Attributes
    ----------
    parameters : dict
        Kind (``"u64"``, ``"f32"``, ...) by name, in the order of the launch.
    registers : dict
        Kind by prefix (``"%rd"``, ...).
    shared : dict
        Alignment of the arrays of dynamic shared memory, all of which begin where it begins.
    instructions : list of Instruction
    labels : dict
        Index of the instruction that follows.
    """

    parameters: dict[str, str] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Program:
        """Read the text of a module with one kernel and no other function."""
        program = cls()
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.split("//")[0].strip()
            if stripped not in ("", "(", ")", "{", "}") and not stripped.startswith(IDLE):
                program._add(number, stripped)
        return program

    def _add(self, number: int, line: str) -> None:
        if line.endswith(":"):
            self.labels[line[:-1]] = len(self.instructions)
        elif found := INSTRUCTION.fullmatch(line):
            guard, opcode, rest = found.groups()
            operands = tuple(OPERAND.findall(rest))
            self.instructions.append(Instruction(number, guard or "", opcode, operands))
        elif found := PARAMETER.fullmatch(line):
            self.parameters[found[2]] = found[1]
        elif found := REGISTERS.fullmatch(line):
            self.registers[found[2]] = found[1]
        elif found := SHARED.fullmatch(line):
            self.shared[found[2]] = int(found[1])
        else:
            raise UnknownError(f"line {number}: {line}")
