# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon Neptune in the lab: a strict data plane with streams that a client cannot tell from the service's where it matters."""

from __future__ import annotations

from tests.lab.neptune.engine import NeptuneEngine

__all__ = ["NeptuneEngine"]
