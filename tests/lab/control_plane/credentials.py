# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials that every client of a lab uses; nothing checks them."""

from __future__ import annotations

# moto tells accounts apart by the access key; long and odd, because Ansible masks the secret wherever it occurs.
ACCESS_KEY = "AKIALAB7Q2ZK5X9WTR3J"
SECRET_KEY = "lab/Zq8+vN3kXw5uR7tYb2mPc9Ld4HsG6fJe1aWo0xT"
