# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The function's code as a zip: its handler and what that imports of ours, nothing else, the same bytes every time."""

from __future__ import annotations

import ast
import importlib.util
import io
import zipfile
from collections.abc import Iterator

from . import function

_ROOT = __name__.rsplit(".", 2)[0]
_EPOCH = (1980, 1, 1, 0, 0, 0)


def package() -> bytes:
    """The zip. Lambda's Python has boto3; nothing else is needed beside it."""
    files = dict(sorted(_closure(function.__name__)))
    files |= {f"{parent}/__init__.py": "" for parent in _parents(_ROOT)}
    files["index.py"] = f"from {function.__name__} import handler\n\n__all__ = ['handler']\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, source in files.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, source)
    return buffer.getvalue()


def _parents(name: str) -> Iterator[str]:
    """The directories of a package and of those around it."""
    parts = name.split(".")
    yield from ("/".join(parts[: number + 1]) for number in range(len(parts)))


def _closure(start: str) -> Iterator[tuple[str, str]]:
    """Path and source of a module and of everything of ours that it imports, by their texts: what is loaded does not count."""
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        source, is_package = _read(name)
        path = name.replace(".", "/")
        yield (f"{path}/__init__.py" if is_package else f"{path}.py", source)
        parent = name.rpartition(".")[0]
        for other in [*_imports(name, source, is_package=is_package), parent]:
            if other not in seen and other.startswith(f"{_ROOT}.") and _exists(other):
                seen.add(other)
                waiting.append(other)


def _imports(name: str, source: str, *, is_package: bool) -> Iterator[str]:
    """Full names of what may be modules among the relative imports."""
    package_parts = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package_parts[: len(package_parts) - node.level + 1]
            target = ".".join([*base, *filter(None, [node.module])])
            yield target
            yield from (f"{target}.{alias.name}" for alias in node.names)


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a name within a module
        return False


def _read(name: str) -> tuple[str, bool]:
    spec = importlib.util.find_spec(name)
    loader = spec.loader if spec else None
    source = getattr(loader, "get_source", lambda _name: None)(name)
    if spec is None or source is None:
        raise ImportError(f"The source of {name} cannot be read.")
    text = (
        source.decode("utf-8") if isinstance(source, bytes) else str(source)
    )  # bytes are how Ansible's own loader gives it
    return text, spec.submodule_search_locations is not None
