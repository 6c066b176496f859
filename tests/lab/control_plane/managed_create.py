# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CreateBlueGreenDeployment: green is copied from blue, upgraded, given its instances, and follows blue."""

from __future__ import annotations

from tests.lab.control_plane import managed_copy, managed_global, managed_watch, read_replicas, servers, upgrade
from tests.lab.control_plane.managed_records import (
    AVAILABLE,
    BACKUPS,
    INSTANCES,
    INVALID,
    PROVISIONING,
    REPLICA,
    TOPOLOGY,
    UPGRADE,
    Deployment,
    Pair,
    Task,
    new_deployment_id,
)
from tests.lab.control_plane.managed_rules import Request, all_members, checked
from tests.lab.control_plane.managed_views import deployment_shape, say
from tests.lab.control_plane.managed_work import ask, wait_for_instances
from tests.lab.control_plane.plane import Call, ControlPlane
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, utcnow
from tests.lab.engine import EngineError


def create(call: Call) -> Shape:
    """CreateBlueGreenDeployment."""
    request = checked(call)
    blue = request.blue
    standalone = request.source is not blue
    green = managed_copy.green_cluster(call, request)
    members = all_members(call.region, blue)
    names = [REPLICA, *([UPGRADE] if request.plan else []), *([] if standalone else [INSTANCES]), BACKUPS]
    names += [TOPOLOGY] if standalone and len(members) > 1 else []
    deployment = Deployment(
        api={
            "BlueGreenDeploymentIdentifier": new_deployment_id(),
            "BlueGreenDeploymentName": request.name,
            "Status": PROVISIONING,
            "CreateTime": utcnow(),
        },
        blue=blue,
        green=green,
        pairs=[
            *([] if standalone else [Pair(blue)]),
            *(Pair(member) for member in members),
            *managed_global.pairs(blue),
        ],
        tasks=[Task(name) for name in names],
        tags=request.tags,
    )
    plane, region = call.plane, call.region
    plane.managed.of(region)[deployment.identifier] = deployment
    answer = deployment_shape(plane, region, deployment)
    provisioning = Provisioning(call, deployment, request)
    plane.jobs.run(deployment.identifier, provisioning.run, provisioning.failed)
    return {"BlueGreenDeployment": answer}


class Provisioning:
    """The work on one new deployment, in its own queue."""

    def __init__(self, call: Call, deployment: Deployment, request: Request) -> None:
        self._call = call
        self._deployment = deployment
        self._request = request

    @property
    def _plane(self) -> ControlPlane:
        return self._call.plane

    @property
    def _region(self) -> Region:
        return self._call.region

    def run(self) -> None:
        """Do every task, then let the deployment be available."""
        deployment, plane = self._deployment, self._plane
        steps = {REPLICA: self._copy, UPGRADE: self._upgrade, INSTANCES: self._readers, TOPOLOGY: self._replicas}
        for task in deployment.tasks:
            with plane.lock:
                task.status = "IN_PROGRESS"
            if not plane.clock.pause(plane.managed.knobs.provisioning):
                raise EngineError("the lab is closing")
            if plane.managed.knobs.fail_provisioning is not None:
                raise EngineError(plane.managed.knobs.fail_provisioning)
            if task.name in steps:
                steps[task.name]()
            if task.name == (UPGRADE if self._request.plan else REPLICA):
                self._follow()
            with plane.lock:
                task.status = "COMPLETED"
        plane.clock.pause(plane.managed.knobs.hold.get(PROVISIONING, 0.0))
        managed_watch.begin(plane, self._region, deployment)
        with plane.lock:
            deployment.mark(AVAILABLE)
            say(
                self._region,
                deployment,
                "Blue/green deployment tasks completed. You can make more modifications to the green environment "
                "databases or switch over the deployment.",
                "creation",
            )

    def failed(self, reason: str) -> None:
        """Leave what there is, for the user to look at and to delete."""
        deployment = self._deployment
        because = reason if reason.startswith("due to ") else f"because {reason}"
        with self._plane.lock:
            for task in deployment.tasks:
                if task.status == "IN_PROGRESS":
                    task.status = "FAILED"
            deployment.mark(INVALID)
            message = f"Creation of blue/green deployment failed {because.rstrip('.')}."
            deployment.api["StatusDetails"] = message
            say(self._region, deployment, message, "failure")

    def _copy(self) -> None:
        """Make green's volume and run its writer, with what blue has."""
        deployment, plane, region = self._deployment, self._plane, self._region
        blue, green = deployment.blue, deployment.green
        with plane.lock:
            writer = next(member for member in region.members(blue) if member.writer)
            self._pair(blue, green)
        if plane.managed.make_link is None:
            raise EngineError("the lab has nothing to replicate from blue to green")
        plan = self._request.plan
        physical = blue.api["Engine"] == "postgres" and not (plan is not None and plan.major)
        deployment.link = link = plane.managed.make_link(plane, region, blue, green, physical)
        managed_copy.copy_volume(plane, link, blue, green)
        with plane.lock:
            made = managed_copy.green_instance(self._call, writer, green)
            for pair in deployment.pairs:
                if pair.source is writer:
                    pair.target, pair.status = made, PROVISIONING
        wait_for_instances(plane, region, green)

    def _pair(self, blue: Cluster, green: Cluster) -> None:
        for pair in self._deployment.pairs:
            if pair.source is blue:
                pair.target, pair.status = green, PROVISIONING

    def _upgrade(self) -> None:
        """Bring green to its version, as ModifyDBCluster does."""
        plane, region, green, plan = self._plane, self._region, self._deployment.green, self._request.plan
        if plan is None:
            return
        plane.jobs.submit(green.volume_id, lambda: upgrade.run(plane, region, green, plan)).result()
        if green.api["EngineVersion"] != plan.version:
            raise EngineError(managed_copy.why_not_upgraded(region, green))
        # What follows blue runs with the parameters of its own groups, such as a binary log.
        plane.jobs.submit(green.volume_id, lambda: servers.restart_all(plane, region, region.members(green))).result()

    def _follow(self) -> None:
        """Let green have its parameter groups, which wait for a reboot, and follow blue from now on."""
        plane, region, green, request = self._plane, self._region, self._deployment.green, self._request
        with plane.lock:
            for member in region.members(green):
                if request.cluster_group not in (None, green.api["DBClusterParameterGroup"]):
                    servers.mark(member, "cluster", "pending-reboot")
                if request.instance_group not in (None, member.api["DBParameterGroupName"]):
                    member.api["DBParameterGroupName"] = request.instance_group
                    servers.mark(member, "instance", "pending-reboot")
            if request.cluster_group is not None:
                green.api["DBClusterParameterGroup"] = request.cluster_group
        if self._deployment.link is not None:
            self._deployment.link.start()

    def _readers(self) -> None:
        """Give green an instance for every other one of blue."""
        with self._plane.lock:
            for pair in self._deployment.pairs:
                if pair.target is None and not isinstance(pair.source, Cluster) and pair.region is None:
                    pair.target = managed_copy.green_instance(self._call, pair.source, self._deployment.green)
                    if self._request.instance_group is not None:
                        pair.target.api["DBParameterGroupName"] = self._request.instance_group
                    pair.status = PROVISIONING
        wait_for_instances(self._plane, self._region, self._deployment.green)
        managed_global.spread(self._call, self._deployment)

    def _replicas(self) -> None:
        """Give green, an instance that stands alone, a read replica for every one of blue."""
        deployment, plane, region = self._deployment, self._plane, self._region
        green, group = deployment.pairs[0].target, self._request.instance_group
        for pair in deployment.replicas:
            if not isinstance(pair.source, Instance) or not isinstance(green, Instance):
                continue
            options = managed_copy.replica_options(self._call, pair.source, green)
            ask(self._call, region, read_replicas.create, **options)
            with plane.lock:
                pair.target = made = region.instances[str(options["DBInstanceIdentifier"])]
                pair.status = PROVISIONING
            wait_for_instances(plane, region, made.cluster)
            with plane.lock:
                if group not in (None, made.api["DBParameterGroupName"]):
                    made.api["DBParameterGroupName"] = group
                    servers.mark(made, "instance", "pending-reboot")
