# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the gates that a switchover holds and points at the other side."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(bluegreen.aws.gates): the option O(gates)."""

    DOCUMENTATION = r"""
options:
  gates:
    description:
      - What holds the client traffic during the window and points it at the other side afterwards.
      - In a self-managed switchover no AWS endpoint moves. Without a gate the clients have to be pointed at the other
        side by something else.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description:
          - The kind of gate.
          - V(pgbouncer) and V(haproxy) make clients wait during the window, the others only point. What a gate that only points
            lets through is stopped by the fence.
          - V(pgbouncer) is for PostgreSQL only.
          - With O(engine=neptune), whose server cannot refuse writes, V(haproxy) is the fence. Held, it shuts down every open
            session to the side that serves, and before the other side opens it leads nowhere, for some milliseconds.
          - V(pgbouncer) needs O(gates[].host), O(gates[].user), O(gates[].databases) and O(gates[].config_file).
          - V(haproxy) needs O(gates[].socket), O(gates[].host), O(gates[].port) and O(gates[].backend).
          - V(route53) needs O(gates[].hosted_zone_id) and O(gates[].record).
          - V(secretsmanager_secret) needs O(gates[].secret_id), V(ssm_parameter) needs O(gates[].name), V(rds_proxy) needs
            O(gates[].db_proxy_name).
        type: str
        choices: [pgbouncer, haproxy, route53, secretsmanager_secret, ssm_parameter, rds_proxy]
        required: true
      host:
        description: Where clients connect to PgBouncer, which is its admin console too, or to HAProxy's frontend.
        type: str
      port:
        description: The port to O(gates[].host). Defaults to 6432 for O(gates[].type=pgbouncer).
        type: int
      user:
        description: A user listed in PgBouncer's C(admin_users).
        type: str
      password:
        description: The user's password.
        type: str
      databases:
        description: The entries of PgBouncer's section C([databases]) that lead to the deployment.
        type: list
        elements: str
      config_file:
        description:
          - The file that holds these entries, on the host that runs the module.
          - Its C(host) and C(port) are rewritten, everything else is kept.
        type: path
      socket:
        description: HAProxy's runtime API with C(level admin), a path on the host that runs the module or C(host:port).
        type: str
      backend:
        description:
          - The backend of HAProxy with one server for blue and one for green, of which one is in maintenance.
          - Its C(timeout queue) is how long a client waits at most.
        type: str
      blue_server:
        description: The name of the server for blue in O(gates[].backend).
        type: str
        default: blue
      green_server:
        description: The name of the server for green in O(gates[].backend).
        type: str
        default: green
      hosted_zone_id:
        description: The hosted zone in Route 53 that holds O(gates[].record).
        type: str
      record:
        description: A CNAME that leads to the side that serves, or a weighted pair of them, one for each side.
        type: str
      max_ttl:
        description: Seconds that the TTL of O(gates[].record) may be for the switchover to begin.
        type: int
        default: 5
      dns_server:
        description: A resolver that the clients use, C(host) or C(host:port). It is asked before the window when given.
        type: str
      secret_id:
        description: Name or ARN of the secret in Secrets Manager, a JSON object.
        type: str
      host_key:
        description: The key of the secret that holds the host.
        type: str
        default: host
      port_key:
        description: The key of the secret that holds the port. Rewritten when the secret has it.
        type: str
        default: port
      identifier_key:
        description: The key of the secret that holds the DB cluster identifier. Rewritten when the secret has it.
        type: str
        default: dbClusterIdentifier
      name:
        description: The name of the parameter in Systems Manager, of type String, StringList or SecureString.
        type: str
      template:
        description:
          - The whole value of the parameter, with C({host}) and C({port}) in it.
          - When left out, the address inside the value is replaced and the rest of it is kept.
        type: str
      db_proxy_name:
        description: The name of the RDS Proxy.
        type: str
      target_group_name:
        description: The target group of the proxy.
        type: str
        default: default
      blue_db_cluster_identifier:
        description: Blue's DB cluster. Defaults to the cluster whose endpoint blue's host is.
        type: str
      green_db_cluster_identifier:
        description: Green's DB cluster. Defaults to the cluster whose endpoint green's host is.
        type: str
      blue_host:
        description:
          - The address of blue for this gate, where that is another one than O(blue.host), such as a reader endpoint.
        type: str
      blue_port:
        description: The port to O(gates[].blue_host). Defaults to the one in O(blue).
        type: int
      green_host:
        description: The address of green for this gate, where that is another one than O(green.host).
        type: str
      green_port:
        description: The port to O(gates[].green_host). Defaults to the one in O(green).
        type: int
"""
