"""The registry of architectures: a new one is a file here and a line below."""

from __future__ import annotations

from ..contract import Cell
from . import gru, lstm, minimal_rnn, rnn

CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        rnn.CELL,
        lstm.CELL,
        gru.CELL,
        minimal_rnn.CELL,
    )
}
