# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Why an attempt failed on PostgreSQL.

Sources: PostgreSQL manual, appendix A (codes); fe-connect.c and postmaster.c for what comes without a code.
"""

from __future__ import annotations

try:
    import psycopg2
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError, words
from .._core.failures import Failure, Kind, of_system, of_words

_CODES: dict[str, Kind] = {
    "25006": "read_only",
    "57014": "timeout",
    "55P03": "timeout",
    "25P03": "timeout",
    "57P01": "server_closed",
    "57P02": "server_closed",
    "57P05": "server_closed",
    "57P03": "refused",
    "53300": "refused",
    "28P01": "login",
    "28000": "login",
    "3D000": "login",
    "42501": "denied",
    "08P01": "other",
}
# FATAL messages of a connection that was not made have no code in psycopg2.
_FATAL: tuple[tuple[str, Kind], ...] = (
    ("password authentication failed", "login"),
    ("authentication failed", "login"),
    ("no pg_hba.conf entry", "login"),
    ("is not permitted to log in", "login"),
    ("permission denied for database", "login"),
    ("the database system is", "refused"),
    ("is not currently accepting connections", "refused"),
    ("remaining connection slots", "refused"),
    ("too many connections", "refused"),
    ("too many clients", "refused"),
    ("no more connections allowed", "refused"),
    ("terminating connection", "server_closed"),
    ("does not exist", "login"),
)


def failure(error: BaseException) -> Failure:
    """What an exception of the driver, or the :class:`BlueGreenError` that was made of one, says."""
    cause = error.__context__ if isinstance(error, BlueGreenError) and error.__context__ else error
    text = words(cause)
    code = str(getattr(cause, "pgcode", None) or "")
    return Failure(_kind(cause, code, text), code, text)


def _kind(error: BaseException, code: str, text: str) -> Kind:
    if code:
        return _CODES.get(code) or ("server_closed" if code.startswith("08") else "other")
    lower = text.lower()
    fatal = next((kind for phrase, kind in _FATAL if phrase in lower), None)
    if isinstance(error, psycopg2.InterfaceError):
        return "server_closed"
    return of_words(text) or fatal or of_system(error) or "other"
