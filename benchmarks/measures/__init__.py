"""
What is measured?  One measure, with its method, its rows and its goals, in each module.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Measure
from benchmarks.measures.addresses import ADDRESSES
from benchmarks.measures.bulk import BULK
from benchmarks.measures.busy import BUSY
from benchmarks.measures.churn import CHURN
from benchmarks.measures.distance import DISTANCE
from benchmarks.measures.foreign import FOREIGN
from benchmarks.measures.idle import IDLE
from benchmarks.measures.latency import ONE_CPU, TWO_CPUS
from benchmarks.measures.loss import LOSS
from benchmarks.measures.memory import MEMORY

MEASURES: Sequence[Measure] = (
    BULK,
    ONE_CPU,
    TWO_CPUS,
    CHURN,
    MEMORY,
    IDLE,
    BUSY,
    LOSS,
    DISTANCE,
    FOREIGN,
    ADDRESSES,
)
