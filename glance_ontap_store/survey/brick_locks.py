# SPDX-License-Identifier: Apache-2.0
"""Read where the other services of this host have the locks of os-brick."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import glob
import itertools
import os

from glance_ontap_store import errors
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown

# The services that connect LUNs to their hosts, and the projects that they are of.
_PROJECTS = {"cinder-volume": "cinder", "nova-compute": "nova"}


def lock_paths(root: str = "/") -> Mapping[str, Answer[str | None]]:
    """Return ``lock_path`` of os-brick in the cinder-volume and nova-compute that run.

    The keys are for people: the service, and its configuration files. None: it has no
    such path. *root* is the host's root directory.
    """
    found: dict[str, Answer[str | None]] = {}
    for argv in _commands(root):
        # The program, or Python and the program.
        names = [os.path.basename(word) for word in argv[:2]]
        for service, project in _PROJECTS.items():
            if service in names:
                files = _values(argv, "--config-file")
                directories = _values(argv, "--config-dir")
                if not files and not directories:
                    files = [os.path.join(root, "etc", project, f"{project}.conf")]
                places = ", ".join([*files, *directories])
                found[f"{service} ({places})"] = _lock_path(files, directories, project)
    return found


def _commands(root: str) -> Iterator[list[str]]:
    for path in glob.glob(os.path.join(root, "proc", "[0-9]*", "cmdline")):
        try:
            with open(path, encoding="utf-8") as file:
                yield file.read().split("\0")[:-1]
        except (OSError, UnicodeDecodeError):
            continue  # it has ended, or is somebody else's


def _values(argv: Sequence[str], option: str) -> list[str]:
    """Return the values of *option*, given as two words or as one."""
    following = [value for word, value in itertools.pairwise(argv) if word == option]
    joined = [
        word.removeprefix(f"{option}=")
        for word in argv
        if word.startswith(f"{option}=")
    ]
    return following + joined


def _lock_path(
    files: Sequence[str], directories: Sequence[str], project: str
) -> Answer[str | None]:
    try:
        conf = configuration.read(files, directories, project)
        return configuration.brick_lock_path(conf, project)
    except errors.Misconfigured as error:
        return Unknown(Reason.UNREADABLE, str(error))
