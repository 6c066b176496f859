# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Why an attempt failed on MySQL.

Source: MySQL 8.4 Error Message Reference, chapters 2 (server) and 3 (client).
"""

from __future__ import annotations

from .._core.errors import BlueGreenError, words
from .._core.failures import Failure, Kind, of_system, of_words
from .connection import code

_CODES: dict[int, Kind] = {
    **dict.fromkeys((1290, 1792, 1836), "read_only"),
    **dict.fromkeys((1045, 1049, 1130, 1698, 1820, 1862, 3118, 3955, 4151), "login"),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), "denied"),
    **dict.fromkeys((1040, 1129, 1203, 1226, 3032), "refused"),
    **dict.fromkeys(
        (1053, 1077, 1079, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 4031), "server_closed"
    ),
    **dict.fromkeys((1205, 3024), "timeout"),
    2026: "tls",
}
# Of these the words tell more: 2003 is every connection that was not made, 2006 and 2013 every one that was lost.
_CLIENT: dict[int, Kind] = {2003: "refused", 2006: "server_closed", 2013: "server_closed", 0: "server_closed"}


def failure(error: BaseException) -> Failure:
    """What an exception of the driver, or the :class:`BlueGreenError` that was made of one, says."""
    cause = error.__context__ if isinstance(error, BlueGreenError) and error.__context__ else error
    number = code(cause) if not isinstance(cause, OSError) else None
    text = words(cause)
    return Failure(_kind(cause, number, text), "" if number in (None, 0) else str(number), text)


def _kind(error: BaseException, number: int | None, text: str) -> Kind:
    if number is None:
        return of_system(error) or of_words(text) or "other"
    if number in _CODES:
        return _CODES[number]
    if number in _CLIENT:
        original = getattr(error, "original_exception", None)
        return (of_system(original) if original else None) or of_words(text) or _CLIENT[number]
    return "other"
