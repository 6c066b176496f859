# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The master user's password in a secret that the service manages (ManageMasterUserPassword)."""

from __future__ import annotations

import json
import secrets
import uuid

from moto.secretsmanager.models import secretsmanager_backends

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.errors import invalid_combination
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import ACCOUNT, Cluster, Region, Shape

DEFAULT_KEY = "arn:aws:kms:{region}:123456789012:key/5b1f2c7e-secretsmanager-lab"


def check(params: Shape, managed: bool) -> None:
    """Raise for a combination of options that the service refuses; `managed` is whether it manages the password now."""
    wanted, password = params.get("ManageMasterUserPassword"), params.get("MasterUserPassword")
    if wanted and password:
        raise invalid_combination("You can't specify MasterUserPassword when ManageMasterUserPassword is true.")
    if wanted is False and managed and not password:
        raise invalid_combination("MasterUserPassword must be provided when ManageMasterUserPassword is set to false.")
    if wanted is None and managed and password:
        raise invalid_combination(
            "You can't specify MasterUserPassword because the password is managed in AWS Secrets Manager."
        )
    if params.get("MasterUserSecretKmsKeyId") and not wanted:
        raise invalid_combination("MasterUserSecretKmsKeyId needs ManageMasterUserPassword.")


def new_password() -> str:
    """Return a password as the service makes them."""
    return secrets.token_urlsafe(24)


def keep(region: Region, cluster: Cluster, password: str, key: str | None) -> None:
    """Put the master user's password in a new secret of the Region; its status is creating."""
    made = secretsmanager_backends[ACCOUNT][region.name].create_secret(
        name=f"rds!cluster-{uuid.uuid4()}",
        secret_string=json.dumps({"username": cluster.api["MasterUsername"], "password": password}),
        secret_binary=None,
        description=f"The secret associated with the primary RDS DB cluster: {cluster.api['DBClusterArn']}",
        tags=[
            {"Key": "aws:rds:primaryDBClusterArn", "Value": cluster.api["DBClusterArn"]},
            {"Key": "aws:secretsmanager:owningService", "Value": "rds"},
        ],
        kms_key_id=None,
        client_request_token=None,
        replica_regions=[],
        force_overwrite=False,
    )
    cluster.api["MasterUserSecret"] = {
        "SecretArn": json.loads(made)["ARN"],
        "SecretStatus": "creating",
        "KmsKeyId": key or DEFAULT_KEY.format(region=region.name),
    }


def activate(cluster: Cluster) -> None:
    """Let a secret that is creating be active."""
    if "MasterUserSecret" in cluster.api:
        cluster.api["MasterUserSecret"] = {**cluster.api["MasterUserSecret"], "SecretStatus": "active"}


def drop(region: Region, cluster: Cluster) -> None:
    """Delete the secret, at once, as the service does."""
    secret = cluster.api.pop("MasterUserSecret", None)
    if secret is not None:
        secretsmanager_backends[ACCOUNT][region.name].delete_secret(
            secret_id=secret["SecretArn"], recovery_window_in_days=None, force_delete_without_recovery=True
        )


def modify(plane: ControlPlane, region: Region, cluster: Cluster, params: Shape) -> None:
    """ModifyDBCluster: begin or end to manage the password; `check` has passed. Nothing of it waits for a window."""
    wanted = params.get("ManageMasterUserPassword")
    if wanted is False:
        drop(region, cluster)
    if not wanted or "MasterUserSecret" in cluster.api:
        return
    password = new_password()
    keep(region, cluster, password, params.get("MasterUserSecretKmsKeyId"))

    def job() -> None:
        plane.clock.hold("modifying")
        servers.engine_of(plane, cluster).set_master_password(cluster.volume_id, password)
        with plane.lock:
            activate(cluster)
            events.cluster_event(region, cluster, "Reset master credentials", "configuration change")

    def failed(reason: str) -> None:
        with plane.lock:
            drop(region, cluster)
            message = f"The master password could not be managed: {reason}"
            events.cluster_event(region, cluster, message, "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
