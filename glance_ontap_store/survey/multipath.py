# SPDX-License-Identifier: Apache-2.0
"""Read what multipath does with a LUN of NetApp when all of its paths are lost."""

from collections.abc import Iterator
from collections.abc import Mapping
import os
import re
import subprocess

from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown

# What a LUN calls itself.
_VENDOR, _PRODUCT = "NETAPP", "LUN C-Mode"
# What multipath does without any setting.
_DEFAULT = "fail"
_PATIENCE_S = 10


def no_path_retry(program: str | None) -> Answer[str]:
    """Return ``no_path_retry`` for LUNs of NetApp: ``queue``, ``fail``, or a number.

    *program* is the path of multipath. It prints its configuration to any user who may
    read the file, with what multipath-tools itself sets for each array.
    """
    if program is None:
        return Unknown(Reason.MISSING, "the program multipath is missing")
    try:
        answer = subprocess.run(
            [program, "-t"],
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        return Unknown(Reason.BROKEN, f"multipath -t failed: {error}")
    if answer.returncode or "defaults {" not in answer.stdout:
        told = " ".join(answer.stderr.split())
        return Unknown(Reason.UNREADABLE, f"multipath -t failed: {told}")
    return effective(answer.stdout)


def effective(text: str) -> str:
    """Return the same of the configuration *text*, as ``multipath -t`` prints it.

    The first of these that sets it counts: ``overrides``, the last device that matches,
    ``defaults``. Single LUNs (``multipaths``) are not looked at.
    """
    sections = list(_sections(text))
    devices = [
        values
        for name, values in sections
        if name == "devices/device" and _is_netapp(values)
    ]
    chosen = [
        *(values for name, values in sections if name == "overrides"),
        *reversed(devices),
        *(values for name, values in sections if name == "defaults"),
    ]
    found = (values.get("no_path_retry") for values in chosen)
    return next((value for value in found if value is not None), _DEFAULT)


def _is_netapp(values: Mapping[str, str]) -> bool:
    try:
        return bool(
            re.search(values.get("vendor", ""), _VENDOR)
            and re.search(values.get("product", ""), _PRODUCT)
        )
    except re.error:
        return False


def _sections(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the sections, such as ``devices/device``, each with its own settings."""
    within: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if value.endswith("{"):
            within.append((name, {}))
        elif name == "}" and within:
            path = "/".join(part for part, _ in within)
            yield path, within.pop()[1]
        elif within and value:
            within[-1][1][name] = value.strip().strip('"')
