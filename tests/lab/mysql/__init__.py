# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aurora MySQL in the lab: real servers that a client cannot tell from Aurora's where it matters here."""

from __future__ import annotations

from tests.lab.mysql.engine import MySQLEngine

__all__ = ["MySQLEngine"]
