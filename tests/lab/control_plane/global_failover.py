# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SwitchoverGlobalCluster and FailoverGlobalCluster: another member becomes the primary."""

from __future__ import annotations

from tests.lab.control_plane import events, servers, write_forwarding
from tests.lab.control_plane.errors import cluster_state, global_state, invalid_combination
from tests.lab.control_plane.global_clusters import global_shape, must_be_available
from tests.lab.control_plane.global_members import stand_alone
from tests.lab.control_plane.global_rules import find_global, find_member
from tests.lab.control_plane.managed_records import IN_PROGRESS
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import GlobalCluster, GlobalMember, Instance, Shape
from tests.lab.engine import EngineError


def switchover(call: Call) -> Shape:
    """SwitchoverGlobalCluster: nothing is lost; every member must be healthy."""
    return _begin(call, data_loss=False)


def failover(call: Call) -> Shape:
    """FailoverGlobalCluster: with AllowDataLoss at once, with Switchover or nothing a switchover."""
    data_loss = bool(call.params.get("AllowDataLoss"))
    if data_loss and call.params.get("Switchover"):
        raise invalid_combination("AllowDataLoss can't be specified together with the Switchover parameter.")
    return _begin(call, data_loss)


def _begin(call: Call, data_loss: bool) -> Shape:
    plane = call.plane
    group = find_global(plane, call.text("GlobalClusterIdentifier"), call.region)
    target = find_member(plane, group, call.text("TargetDbClusterIdentifier"))
    old = group.primary
    must_be_available(group)
    if old is None or target is old:
        raise global_state(f"{target.arn} is the primary cluster of the global cluster {group.identifier} already.")
    _check_target(target)
    if not data_loss:
        _check_all(group, target)
        _check_deployment(plane, group, old)
    status = "failing-over" if data_loss else "switching-over"
    group.status = status
    group.api["FailoverState"] = {
        "Status": "pending",
        "FromDbClusterArn": old.arn,
        "ToDbClusterArn": target.arn,
        "IsDataLossAllowed": data_loss,
    }
    for member in group.members:
        if member.cluster.status == "available":
            member.cluster.status = "failing-over" if data_loss else "modifying"
    change = Change(plane, group, old, target, data_loss)
    plane.jobs.run(group.queue, change.run, change.failed)
    return {"GlobalCluster": global_shape(group)}


def _check_deployment(plane: ControlPlane, group: GlobalCluster, primary: GlobalMember) -> None:
    """A failover can be while a blue/green deployment is switched over, a switchover cannot."""
    deployment = plane.managed.having(primary.cluster)
    if deployment is not None and deployment.status == IN_PROGRESS:
        raise global_state(
            f"Global cluster {group.identifier} is part of the blue/green deployment {deployment.identifier}, which is being "
            "switched over."
        )


def _check_target(target: GlobalMember) -> None:
    cluster = target.cluster
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is in state {cluster.status}.")
    if not target.connected:
        raise global_state(f"The secondary cluster {target.arn} is not synchronized with the primary cluster.")
    if not any(member.status == "available" for member in target.region.members(cluster)):
        raise cluster_state(f"Cluster {cluster.identifier} has no available DB instance that could be its writer.")


def _check_all(group: GlobalCluster, target: GlobalMember) -> None:
    """A switchover is for a healthy global cluster whose members have one version."""
    for member in group.members:
        cluster = member.cluster
        if cluster.status != "available" or not member.connected:
            raise cluster_state(f"Cluster {member.arn} is in state {cluster.status}; a switchover needs all available.")
    versions = {str(member.cluster.api["EngineVersion"]) for member in group.members}
    if len(versions) > 1:
        raise global_state(
            f"The members of the global cluster {group.identifier} have different engine versions: "
            f"{', '.join(sorted(versions))}."
        )


class Change:
    """One change of the primary, in the global cluster's queue while those of all members are still."""

    def __init__(
        self, plane: ControlPlane, group: GlobalCluster, old: GlobalMember, target: GlobalMember, data_loss: bool
    ) -> None:
        self._plane = plane
        self._group = group
        self._old = old
        self._target = target
        self._data_loss = data_loss
        self._others: list[GlobalMember] = []  # that follow the old primary
        self._during = "failing-over" if data_loss else "switching-over"

    def run(self) -> None:
        """Stop the old primary, promote the target, let the others follow it."""
        plane, group = self._plane, self._group
        # A member that is not connected is still being made, in a job that waits for the primary's queue.
        with plane.jobs.still([member.cluster.volume_id for member in group.members if member.connected]):
            if self._target not in group.members:
                raise EngineError(f"{self._target.arn} has left the global cluster")
            with plane.lock:
                roles = (self._old, self._target)
                self._others = [member for member in group.members if member.connected and member not in roles]
                group.api["FailoverState"]["Status"] = self._during
            plane.clock.hold(self._during)
            others = self._stop_old()
            try:
                self._promote()
            except EngineError:
                with plane.lock:
                    group.api["FailoverState"]["Status"] = "cancelling"
                servers.start_all(plane, self._old.region, others)
                raise
            self._follow(self._old, others)
            for member in self._others:
                self._follow(member, self._running(member))
            self._end()

    def _running(self, member: GlobalMember) -> list[Instance]:
        return [one for one in servers.active(self._plane, member.region, member.cluster) if one.running]

    def _stop_old(self) -> list[Instance]:
        """Stop the servers of the old primary; they are to run again, also those that had crashed."""
        active = servers.active(self._plane, self._old.region, self._old.cluster)
        for instance in reversed(active):
            servers.stop(self._plane, instance, immediate=self._data_loss)
        return active

    def _promote(self) -> None:
        """Make the target the primary; its servers become a writer and its readers."""
        plane, target = self._plane, self._target
        stand_alone(plane, target.region, target.cluster, self._swap, complete=not self._data_loss)
        with plane.lock:
            target.cluster.status = "available"
            message = f"Global {'failover' if self._data_loss else 'switchover'} to DB cluster completed"
            events.cluster_event(target.region, target.cluster, f"{message}: {target.arn}", "global-failover")

    def _swap(self) -> None:
        """Give the members their new roles; all but the target are to be connected anew."""
        self._old.writer, self._target.writer = False, True
        for instance in self._old.region.members(self._old.cluster):
            instance.writer = False
        for member in (self._old, *self._others):
            member.connected = False
        for member in (self._old, self._target):
            write_forwarding.follow_role(member.cluster)

    def _follow(self, member: GlobalMember, instances: list[Instance]) -> None:
        """Make a member a secondary of the target with its servers as readers."""
        plane, cluster = self._plane, member.cluster
        if self._data_loss:
            plane.clock.hold("pending-resync")
        servers.stop_all(plane, instances)
        servers.engine_of(plane, cluster).follow_volume(self._target.cluster.volume_id, cluster.volume_id)
        servers.start_all(plane, member.region, instances)
        with plane.lock:
            member.connected = True
            if cluster.status != "creating":
                cluster.status = "available"

    def _end(self) -> None:
        with self._plane.lock:
            self._group.api.pop("FailoverState", None)
            self._group.status = "available"

    def failed(self, reason: str) -> None:
        """Leave a valid state: members that are as they were are available, the others failed."""
        with self._plane.lock:
            for member in self._group.members:
                if member.cluster.status in ("modifying", "failing-over"):
                    member.cluster.status = "available" if member.connected else "failed"
            target = self._target
            message = f"Global {self._during} to {target.arn} failed: {reason}"
            events.cluster_event(target.region, target.cluster, message, "global-failover", "failure")
        self._end()


OPERATIONS: dict[str, Handler] = {"SwitchoverGlobalCluster": switchover, "FailoverGlobalCluster": failover}
