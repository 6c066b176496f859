# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A request that is repeated for as long as that can help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from .connection import UNREACHABLE, NeptuneError

T = TypeVar("T")

# What the service calls transient (Neptune user guide, "Engine errors"), and what a failover answers.
_TRANSIENT = frozenset(
    {
        "ConcurrentModificationException",
        "ConstraintViolationException",
        "MemoryLimitExceededException",
        "ReadOnlyViolationException",
        "ThrottlingException",
        "TimeLimitExceededException",
        "TooManyRequestsException",
        UNREACHABLE,
    }
)
_STATUS = frozenset({429, 502, 503, 504})
_TRIES = 9
_FIRST = 0.05
_LONGEST = 5.0


def transient(error: NeptuneError) -> bool:
    """Whether the same request may succeed later. Up to engine 1.4.5 a conflict could look like a bad request."""
    return (
        error.code in _TRANSIENT
        or error.status in _STATUS
        or (error.code == "BadRequestException" and "ConcurrentModification" in error.message)
    )


def persist(
    call: Callable[[], T], guard: Callable[[], None] = lambda: None, sleep: Callable[[float], None] = time.sleep
) -> T:
    """Call until it succeeds or a failure is not transient; ``guard`` is asked before each try, waits grow and vary."""
    pauses = [min(_LONGEST, _FIRST * 2**number) for number in range(_TRIES - 1)]
    while True:
        guard()
        try:
            return call()
        except NeptuneError as error:
            if not pauses or not transient(error):
                raise
        sleep(pauses.pop(0) * random.uniform(0.5, 1.0))  # noqa: S311  no secret
