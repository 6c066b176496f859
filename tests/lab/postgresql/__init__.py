# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL of the lab: real servers, volumes, clones, upgrades, TLS endpoints, and the rights of the master user."""

from __future__ import annotations

from tests.lab.postgresql.engine import PostgreSQLEngine

__all__ = ["PostgreSQLEngine"]
