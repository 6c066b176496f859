# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine versions with their upgrade targets, and what can be ordered."""

from __future__ import annotations

from tests.lab.control_plane.common import filters, page
from tests.lab.control_plane.errors import ApiError
from tests.lab.control_plane.global_rules import BURSTABLE
from tests.lab.control_plane.kinds import STANDALONE, described, is_major, kind_of, series
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Shape
from tests.lab.engine import EngineVersion

INSTANCE_CLASSES = (
    "db.serverless",
    "db.t3.medium",
    "db.t4g.medium",
    "db.t4g.large",
    "db.r6g.large",
    "db.r6g.xlarge",
    "db.r7g.large",
    "db.r8g.large",
)
ZONES = ("a", "b", "c")


def describe_versions(call: Call) -> Shape:
    """DescribeDBEngineVersions."""
    params = call.params
    filters(call, ("db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"))
    found = [
        version
        for version in call.plane.versions()
        if params.get("Engine") in (None, version.engine)
        and params.get("EngineVersion") in (None, version.version, series(version))
        and params.get("DBParameterGroupFamily") in (None, version.family)
    ]
    if params.get("DefaultOnly"):
        found = [version for version in found if version == call.plane.version(version.engine, None)]
    return page(call, "DBEngineVersions", [_shape(call.plane, version) for version in found])


def _shape(plane: ControlPlane, version: EngineVersion) -> Shape:
    kind = kind_of(version.engine)
    targets = [plane.version(version.engine, target) for target in version.targets]
    return {
        "Engine": version.engine,
        "EngineVersion": version.version,
        "MajorEngineVersion": series(version),
        "DBParameterGroupFamily": version.family,
        "DBEngineDescription": kind.title,
        "DBEngineVersionDescription": described(version),
        "ValidUpgradeTarget": [
            {
                "Engine": target.engine,
                "EngineVersion": target.version,
                "Description": described(target),
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": is_major(version, target),
                "SupportedEngineModes": ["provisioned"],
                "SupportsParallelQuery": False,
                "SupportsGlobalDatabases": kind.global_databases,
            }
            for target in targets
        ],
        "ExportableLogTypes": list(kind.logs),
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": version.engine in STANDALONE,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": kind.global_databases,
        "SupportsBabelfish": False,
    }


def describe_orderable(call: Call) -> Shape:
    """DescribeOrderableDBInstanceOptions."""
    engine, wanted = call.text("Engine"), call.params.get("EngineVersion")
    kind = kind_of(engine)
    options = [
        {
            "Engine": engine,
            "EngineVersion": version.version,
            "DBInstanceClass": instance_class,
            "LicenseModel": kind.licence,
            "AvailabilityZones": [{"Name": call.region.name + zone} for zone in ZONES],
            "MultiAZCapable": False,
            "ReadReplicaCapable": engine in STANDALONE,
            "Vpc": True,
            "SupportsStorageEncryption": True,
            "StorageType": "gp3" if engine in STANDALONE else "aurora",
            "SupportsClusters": engine not in STANDALONE,
            "SupportsGlobalDatabases": kind.global_databases and not instance_class.startswith(BURSTABLE),
            "SupportedEngineModes": ["provisioned"],
        }
        for version in call.plane.versions()
        if version.engine == engine and wanted in (None, version.version)
        for instance_class in INSTANCE_CLASSES
        if call.params.get("DBInstanceClass") in (None, instance_class)
    ]
    return page(call, "OrderableDBInstanceOptions", options)


def check_instance_class(name: str) -> None:
    """Raise for an instance class that cannot be ordered."""
    if name not in INSTANCE_CLASSES:
        raise ApiError("InvalidParameterValue", f"Invalid DB Instance class: {name}")


OPERATIONS: dict[str, Handler] = {
    "DescribeDBEngineVersions": describe_versions,
    "DescribeOrderableDBInstanceOptions": describe_orderable,
}
