# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defects of aws-advanced-python-wrapper 3.1.0 that keep a client from coming back, repaired from outside.

Without any one of the repairs a session that was held during a switchover is not released (each seen with 3.1.0).
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Any

DISTRIBUTION, KNOWN = "aws-advanced-python-wrapper", "3.1.0"


def repaired() -> Any:
    """Return the wrapper's connection class after the repairs; raises RuntimeError for another version."""
    found = version(DISTRIBUTION)
    if found != KNOWN:
        raise RuntimeError(f"{DISTRIBUTION} is {found}, the repairs are for {KNOWN}: see which are still needed.")
    plugin = importlib.import_module("aws_advanced_python_wrapper.blue_green_plugin")
    _read_the_latest_status(plugin)
    _compare_host_and_port(plugin)
    _reopen_what_was_closed(plugin)
    return importlib.import_module("aws_advanced_python_wrapper").AwsWrapperConnection


def _read_the_latest_status(plugin: Any) -> None:
    """blue_green_plugin.py:693 and :766: after a wait the loops choose from self._bg_status, which is the old one.

    They then wait for a change that has happened already, for ever. Read anew each time, it is never old.
    """

    def latest(this: Any) -> Any:
        return this._plugin_service.get_status(plugin.BlueGreenStatus, this._bg_id)

    plugin.BlueGreenPlugin._bg_status = property(latest, lambda _this, _value: None)


def _compare_host_and_port(plugin: Any) -> None:
    """blue_green_plugin.py:318: a host's rule is compared with HostInfo.url, which ends with a slash (hostinfo.py:93).

    So no rule that names a host ever applies: not blue's address, not green's.
    """

    def is_match(this: Any, host_info: Any, role: Any) -> bool:
        if this._bg_role is not None and this._bg_role != role:
            return False
        if this._endpoint is None:
            return True
        return host_info is not None and bool(this._endpoint == host_info.get_host_and_port().lower())

    plugin.BaseRouting.is_match = is_match


def _reopen_what_was_closed(plugin: Any) -> None:
    """blue_green_plugin.py:921: a monitor whose connection has gone is connected anew only when it is in panic mode.

    A session that is ended between two looks is found closed before anything is asked (:978), and nothing sets that mode
    then. With MySQL, whose driver asks the server whether it is there, that is what happens in a switchover: the monitor
    stays without a connection and never sees the end.
    """
    opened = plugin.BlueGreenStatusMonitor._open_connection

    def open_connection(this: Any) -> None:
        thread = this._open_connection_thread
        if thread is not None and not thread.is_alive() and this._is_connection_closed(this._connection):
            this._panic_mode.set()
        opened(this)

    plugin.BlueGreenStatusMonitor._open_connection = open_connection
