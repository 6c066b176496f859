# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every name that belongs to a deployment, derived from its id alone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from .errors import BlueGreenError

Direction = Literal["forward", "reverse"]

# The rule of DBClusterIdentifier (Amazon RDS API, RestoreDBClusterToPointInTime); shorter, because names get suffixes:
# the longest, of a slot, is 14 characters longer than the id and may have 63 (NAMEDATALEN - 1).
_ID = re.compile(r"[a-z](?:-?[a-z0-9])*")
_MAX_ID = 40
_MAX_USER = 32


@dataclass(frozen=True)
class Names:
    """The names of one deployment; build it with :meth:`of`."""

    deployment_id: str

    @classmethod
    def of(cls, deployment_id: str) -> Names:
        """The names for ``deployment_id``; raises :class:`BlueGreenError` when it is not fit to be an identifier."""
        if len(deployment_id) > _MAX_ID or not _ID.fullmatch(deployment_id):
            raise BlueGreenError(
                f"deployment_id must be 1 to {_MAX_ID} lower-case letters, digits and single hyphens and begin with a "
                f"letter, because it names the green cluster, but is {deployment_id!r}: choose another one."
            )
        return cls(deployment_id)

    @property
    def cluster(self) -> str:
        """Green's DB cluster identifier."""
        return self.deployment_id

    def instance(self, number: int) -> str:
        """Green's DB instance identifier, ``number`` from 1; the writer is 1."""
        return f"{self.deployment_id}-{number}"

    def cluster_parameter_group(self, family: str) -> str:
        """The DB cluster parameter group made for green in a family such as ``aurora-postgresql18``."""
        return f"{self.deployment_id}-{_identifier(family)}"

    def instance_parameter_group(self, family: str) -> str:
        """The DB parameter group made for green's instances in a family."""
        return f"{self.deployment_id}-{_identifier(family)}-instance"

    @property
    def final_snapshot(self) -> str:
        """The snapshot that is taken before green, or a secondary of it in its own Region, is deleted."""
        return f"{self.deployment_id}-final"

    @property
    def global_cluster(self) -> str:
        """The global cluster that is made around green; the identifier is unique in the account, over all Regions."""
        return f"{self.deployment_id}-global"

    def secondary(self, region: str) -> str:
        """Green's secondary DB cluster in a Region such as ``eu-west-1``."""
        return f"{self.deployment_id}-{region}"

    def secondary_instance(self, region: str, number: int) -> str:
        """A DB instance of green's secondary cluster, ``number`` from 1."""
        return f"{self.secondary(region)}-{number}"

    @property
    def _sql(self) -> str:
        return "bg_" + self.deployment_id.replace("-", "_")

    @property
    def publication(self) -> str:
        """The publication, the same in every database and on both sides (green's is cloned)."""
        return self._sql

    @property
    def replication_role(self) -> str:
        """The role that the subscriptions log in with."""
        return f"{self._sql}_replication"

    @property
    def replication_user(self) -> str:
        """The MySQL user that a replica logs in to its source with; the same on both sides."""
        return self._mysql_user("repl")

    @property
    def probe_user(self) -> str:
        """The MySQL user that proves a fence: it may write to one table of ours and must fail to."""
        return self._mysql_user("probe")

    def _mysql_user(self, kind: str) -> str:
        # A MySQL user name has 32 characters at most (MySQL manual, 8.2.1): a long id is cut, its digest tells it apart.
        name = f"{self._sql}_{kind}"
        if len(name) <= _MAX_USER:
            return name
        digest = hashlib.sha256(self.deployment_id.encode()).hexdigest()[:8]
        return f"{self._sql[: _MAX_USER - len(kind) - len(digest) - 2]}_{digest}_{kind}"

    def slot(self, direction: Direction, database: str) -> str:
        """The replication slot of one database; forward slots live on blue, reverse ones on green."""
        return self._per_database(direction[0], database)

    def subscription(self, direction: Direction, database: str) -> str:
        """The subscription in one database; forward ones live on green, reverse ones on blue.

        Equal to the slot's name: subscription names are unique in a cluster as slot names are.
        """
        return self.slot(direction, database)

    def pattern(self, direction: Direction) -> str:
        """A regular expression (Python and POSIX) that matches this deployment's slots and subscriptions and no other's."""
        return f"^{self._sql}_{direction[0]}_[0-9a-f]{{8}}$"

    def _per_database(self, kind: str, database: str) -> str:
        # Slot names allow [a-z0-9_] only (PostgreSQL manual, pg_create_logical_replication_slot), database names anything:
        # the digest keeps them apart, whatever they contain.
        digest = hashlib.sha256(database.encode()).hexdigest()[:8]
        return f"{self._sql}_{kind}_{digest}"

    @property
    def checkpoint_table(self) -> str:
        """The DynamoDB table of a Neptune deployment: the leases of both directions and the control record."""
        return f"{self.deployment_id}-streams"

    def lease_key(self, direction: Direction) -> str:
        """The lease of one direction in the checkpoint table."""
        return f"{self.deployment_id}-{direction}"

    @property
    def control_key(self) -> str:
        """The control record in the checkpoint table."""
        return f"{self.deployment_id}-control"

    @property
    def replication_stack(self) -> str:
        """The CloudFormation stack that replicates between Neptune clusters."""
        return f"{self.deployment_id}-replication"

    @property
    def log_group(self) -> str:
        """The CloudWatch log group that the progress of a Neptune deployment is written to."""
        return f"/aws/neptune/{self.deployment_id}"

    @property
    def schema(self) -> str:
        """The schema of the marker table in every replicated database."""
        return "bluegreen"

    @property
    def control_database(self) -> str:
        """The database of the control record: one of its own, because FOR ALL TABLES would publish the record."""
        return "bluegreen_control"


def _identifier(family: str) -> str:
    # Parameter group names: letters, digits, hyphens (Amazon RDS API, CreateDBClusterParameterGroup).
    return re.sub(r"[^a-z0-9]+", "-", family.lower()).strip("-")
