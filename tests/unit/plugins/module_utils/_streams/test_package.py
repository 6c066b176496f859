# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The function's code: the same bytes every time, and nothing that Lambda's Python does not have."""

from __future__ import annotations

import ast
import io
import sys
import zipfile

from ansible_collections.bluegreen.aws.plugins.module_utils._streams.package import package

OURS = "ansible_collections/bluegreen/aws/plugins/module_utils"
LAMBDA_HAS = {"boto3", "botocore"}


def files() -> dict[str, str]:
    archive = zipfile.ZipFile(io.BytesIO(package()))
    return {name: archive.read(name).decode() for name in archive.namelist()}


def test_it_is_the_same_whatever_else_is_loaded() -> None:
    before = package()
    import ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection  # noqa: F401

    assert package() == before


def test_it_imports_nothing_that_is_not_there() -> None:
    found = files()
    foreign = set()
    for name, source in found.items():
        for node in ast.walk(ast.parse(source, name)):
            if isinstance(node, ast.Import):
                foreign |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                foreign.add(str(node.module).partition(".")[0])
    assert foreign - set(sys.stdlib_module_names) <= LAMBDA_HAS | {"ansible_collections"}
    assert found["index.py"].startswith(
        "from ansible_collections.bluegreen.aws.plugins.module_utils._streams.function import"
    )
    assert f"{OURS}/_neptune/replicator.py" in found


def test_it_holds_what_is_needed_and_not_the_rest_of_the_collection() -> None:
    packages = {name.removeprefix(f"{OURS}/").partition("/")[0] for name in files() if name.startswith(f"{OURS}/_")}
    assert packages - {"__init__.py"} == {"_aws", "_core", "_neptune", "_streams"}
    assert f"{OURS}/_aws/signing.py" in files() and f"{OURS}/_aws/clone.py" not in files()
