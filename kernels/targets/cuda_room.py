"""What is where in the shared memory of a block, counted in numbers of the sweeps' format.

It is asked for at the launch: arrays of a fixed size would be one for every place that takes in
their function.
"""

from __future__ import annotations

MOST_LANES = 256
"""Of a block: a power of two, as is any number of lanes.

As many numbers serve sums over the lanes."""

KEPT_FROM = 2 * MOST_LANES
"""Where `hold` puts its numbers: after the sums, which may be of twice the width."""
