# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one exception that library code raises: a sentence for the person at 3 a.m."""

from __future__ import annotations

import re
from typing import Any

# Where a message of MySQL begins to quote the statement.
_QUOTED = re.compile(r" near '.*", re.DOTALL)


class BlueGreenError(Exception):
    """What was wanted, what was found and what to do, in one sentence.

    ``details`` are returned by the module beside ``msg`` (plain values, never a secret).
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class WaitTimeout(BlueGreenError):
    """A wait ended without what was waited for; the message carries what was last seen."""


def words(error: BaseException) -> str:
    """What an exception says, in one line and without a full stop.

    A database error is cut to the server's primary message: the rest quotes the statement, which may hold a secret.
    """
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary is None and len(error.args) == 2 and not isinstance(error, OSError):  # MySQL: number and text
        number, text = error.args
        if isinstance(number, int) and isinstance(text, str):
            primary = f"{_QUOTED.sub('', text)} (error {number})"
    return " ".join(str(primary or error).split()).rstrip(".")
