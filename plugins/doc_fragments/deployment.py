# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what the modules have in common."""

from __future__ import annotations


def _other(blue: str, changes: dict[str, str]) -> str:
    """The documentation of another connection than O(blue), with the same sub-options."""
    for there, here in changes.items():
        blue = blue.replace(there, here)
    return blue


class ModuleDocFragment:
    """Fragments C(bluegreen.aws.deployment), C(.wait), C(.replication), C(.blue_connection), C(.connections),
    C(.target_connection), C(.engine_specific), C(.expected_differences) and C(.attributes).
    """

    DOCUMENTATION = r"""
options:
  deployment_id:
    description:
      - The name of the blue/green deployment. It is the green cluster's default identifier and the prefix of
        everything that is created for the deployment.
      - 1 to 40 lower-case letters, digits and single hyphens, beginning with a letter.
    type: str
    required: true
"""

    WAIT = r"""
options:
  wait:
    description: Whether to wait until what was asked for is reached.
    type: bool
    default: true
  wait_delay:
    description: Seconds between two looks while waiting.
    type: float
    default: 10.0
"""

    # Name it before C(.wait), whose defaults it changes.
    REPLICATION = r"""
options:
  max_lag:
    description:
      - Seconds that a write on blue may take to be visible on green for V(state=running) to be reached.
      - Without it any lag that could be measured will do.
    type: float
  wait:
    description: Whether O(state=running) waits until green replicates and the lag is below O(max_lag).
  wait_timeout:
    description: Seconds to wait for O(state=running).
    type: int
    default: 600
  wait_delay:
    default: 1.0
seealso:
  - module: bluegreen.aws.bg_readiness
  - module: bluegreen.aws.bg_verify
  - module: bluegreen.aws.bg_switchover
"""

    ENGINE_SPECIFIC = r"""
options:
  databases:
    description:
      - The databases that the deployment replicates.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database.
      - For O(engine=aurora_postgresql). Aurora MySQL replicates all of them.
    type: list
    elements: str
  graph_type:
    description: What of the graph is replicated, for O(engine=neptune). Defaults to what is on record.
    type: str
    choices: [propertygraph, rdf]
  checkpoint_table:
    description:
      - The table in DynamoDB with the checkpoints and the control record, for O(engine=neptune), as in
        M(bluegreen.aws.neptune_streams_replication).
      - Defaults to the one that the deployment has made.
    type: str
"""

    # For what concerns one side.
    BLUE_CONNECTION = r"""
options:
  blue:
    description: The connection to blue, the cluster that serves production now.
    type: dict
    suboptions:
      host:
        description: The address of the cluster's writer endpoint.
        type: str
        required: true
      port:
        description: The port. Defaults to the engine's standard port.
        type: int
      user:
        description: The user to log in as, on Aurora PostgreSQL a member of C(rds_superuser).
        type: str
      password:
        description: The user's password.
        type: str
      secret_arn:
        description:
          - The Secrets Manager secret that holds the login as JSON with C(username) and C(password), as RDS writes it.
          - Mutually exclusive with O(blue.password).
        type: str
      iam_auth:
        description: Log in with an IAM token instead of a password.
        type: bool
        default: false
      database:
        description: The database for what concerns the whole cluster. Defaults to the engine's own.
        type: str
      ssl_mode:
        description:
          - How much of the server's identity is checked.
          - Without O(blue.ca_cert) the C(verify) modes trust the certificate authorities of the host that runs the module.
        type: str
        choices: [disable, require, verify-ca, verify-full]
        default: verify-full
      ca_cert:
        description: A file with the certificate authorities to trust, on the host that runs the module.
        type: path
      connect_timeout:
        description: Seconds to wait for a connection.
        type: int
        default: 10
"""

    # The sanity tests take what is assigned without a type for a literal to be linted.
    CONNECTIONS: str = BLUE_CONNECTION + _other(
        BLUE_CONNECTION,
        {
            "\noptions:\n  blue:\n": "  green:\n",
            "to blue, the cluster that serves production now.": "to green, the copy that will serve production next. "
            "The same sub-options as O(blue).",
            "O(blue.": "O(green.",
        },
    )
    TARGET_CONNECTION: str = _other(
        BLUE_CONNECTION,
        {
            "  blue:\n": "  target:\n",
            "to blue, the cluster that serves production now.": "of an application.",
            "O(blue.": "O(target.",
            "The address of the cluster's writer endpoint.": "The name that the application connects to.",
            ", on Aurora PostgreSQL a member of C(rds_superuser)": "",
            "The database for what concerns the whole cluster. Defaults to the engine's own.": "The database, on PostgreSQL. "
            "Defaults to C(postgres).",
        },
    )

    EXPECTED_DIFFERENCES = r"""
options:
  expected_differences:
    description: What was changed on green on purpose, so that it is not taken for a fault.
    type: list
    elements: dict
    default: []
    suboptions:
      object:
        description: The table or other object, as C(schema.name) or C(database.schema.name) with shell wildcards.
        type: str
        required: true
      columns:
        description:
          - The columns of the table that may differ or be on one side only, with shell wildcards.
          - When left out, the whole object may differ or be on one side only.
        type: list
        elements: str
        default: []
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside C(check_mode), with the same arguments, the second invocation indicates no change.
"""
