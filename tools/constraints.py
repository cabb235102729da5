#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write constraints/RELEASE.txt: the versions that an older OpenStack release has.

Needs uv: python3 tools/constraints.py 2024.1 2025.1 lowest

"lowest" has the lower bounds of requirements.txt instead of a release's projects.

Each file is resolved from PyPI as it was on a day between the release's freeze of its
libraries and the release. The projects that matter most are the newest of their stable
series. Three of four versions are those of OpenStack's own list
(upper-constraints.txt of openstack/requirements); most others differ little.
"""

from pathlib import Path
import re
import subprocess
import sys

TOP = Path(__file__).resolve().parent.parent
PRODUCT = ("requirements.txt", "cli-requirements.txt", "metrics-requirements.txt")
INPUTS = (*PRODUCT, "test-requirements.txt", "lab-requirements.txt")
LOWEST = "lowest"
OLDEST = "2024.1"

#: A day between the freeze of the release's libraries and the release.
DAYS = {
    "2024.1": "2024-03-11",
    "2024.2": "2024-09-09",
    "2025.1": "2025-03-10",
    "2025.2": "2025-09-08",
    "2026.1": "2026-03-09",
}

#: The series of its projects: one with "4.7" gets the newest 4.7.x.
SERIES = {
    "2024.1": {
        "cinder": "24", "glance": "28", "keystone": "25",
        "glance_store": "4.7", "os-brick": "6.7",
    },
    "2024.2": {
        "cinder": "25", "glance": "29", "keystone": "26",
        "glance_store": "4.8", "os-brick": "6.9",
    },
    "2025.1": {
        "cinder": "26", "glance": "30", "keystone": "27",
        "glance_store": "4.9", "os-brick": "6.11",
    },
    "2025.2": {
        "cinder": "27", "glance": "31", "keystone": "28",
        "glance_store": "5.2", "os-brick": "6.13",
    },
    "2026.1": {
        "cinder": "28", "glance": "32", "keystone": "29",
        "glance_store": "5.4", "os-brick": "7.0",
    },
}  # fmt: skip

#: Bounds that each release has. pysaml2 and cryptography fit only a very old pyOpenSSL
#: or this one, and the old one breaks with that cryptography.
BOUNDS = ["pyOpenSSL>=24"]

#: Bounds that OpenStack's own list has and that the day does not give; and os-win,
#: which Glance imports in 2024.1 and 2024.2, needs pkg_resources.
HELD = {
    "2024.1": ["SQLAlchemy<2", "urllib3<2", "setuptools<81"],
    "2024.2": ["urllib3<2", "setuptools<81"],
    "2025.1": ["urllib3<2"],
    "2025.2": ["urllib3<2"],
}

#: Only the tests need them, in versions that are newer than some releases.
TOOLS = ("netapp-ontap", "pbr", "pytest-cov", "setuptools")

LOWEST_HEAD = """\
# The lower bounds of requirements.txt, cli-requirements.txt and
# metrics-requirements.txt. All else is from PyPI as of {day}, before OpenStack
# {oldest}. Made by tools/constraints.py.
"""
HEAD = """\
# OpenStack {release}: PyPI as of {day}, between the freeze of its libraries and
# the release, with the newest of its stable series of the main projects. Resolved by
# tools/constraints.py, not copied from openstack/requirements.
"""


def lowest() -> list[str]:
    """The lower bounds of the product's requirements, as versions."""
    lines = [line for name in PRODUCT for line in (TOP / name).read_text().splitlines()]
    found = [re.match(r"([\w.-]+)>=([\d.]+)", line) for line in lines]
    return [f"{match[1]}=={match[2]}" for match in found if match]


def bounds(release: str) -> list[str]:
    """The requirements of a release that the requirements files do not have."""
    series = SERIES[release].items()
    projects = [f"{name}=={version}.*" for name, version in series]
    return projects + BOUNDS + HELD.get(release, [])


def compiled(release: str) -> str:
    """The constraints of a release, one version a line."""
    wanted = lowest() + BOUNDS if release == LOWEST else bounds(release)
    inputs = INPUTS[:-1] if release == LOWEST else INPUTS
    release = OLDEST if release == LOWEST else release
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    # The oldest Python, whose extra dependencies do no harm in newer ones.
    command += ["--python-version", "3.10", "--exclude-newer", DAYS[release]]
    for name in (*SERIES[release], *TOOLS):
        command += ["--exclude-newer-package", f"{name}=2026-11-01"]
    command += [*inputs, "-"]
    done = subprocess.run(
        command,
        cwd=TOP,
        input="\n".join(wanted),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    for release in sys.argv[1:] or [*sorted(DAYS), LOWEST]:
        print(release, "...", file=sys.stderr)
        if release == LOWEST:
            head = LOWEST_HEAD.format(day=DAYS[OLDEST], oldest=OLDEST)
        else:
            head = HEAD.format(release=release, day=DAYS[release])
        text = head + compiled(release)
        (TOP / "constraints" / f"{release}.txt").write_text(text)


if __name__ == "__main__":
    main()
