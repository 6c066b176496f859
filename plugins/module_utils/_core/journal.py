# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The journal of a module run: what was, or in check mode would be, done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Journal:
    """Writes down every effect in order and, in check mode, does none of them.

    It is the only place that knows of check mode: whoever acts calls :meth:`act`.
    """

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.actions: list[str] = []

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, done."""
        return bool(self.actions)

    def act(self, what: str, effect: Callable[[], T]) -> T | None:
        """Note ``what`` and run ``effect``; returns its result, None in check mode.

        The note comes after the effect: an action that raised is not listed as done.
        """
        result = None if self.check_mode else effect()
        self.actions.append(what)
        return result
