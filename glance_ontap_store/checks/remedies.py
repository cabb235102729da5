# SPDX-License-Identifier: Apache-2.0
"""The openstack commands that remedies propose, ready to be pasted into a shell."""

from collections.abc import Iterable
import shlex

from glance_ontap_store.settings import Password

_DEFAULT_DOMAIN = "default"


def run(*words: str) -> str:
    """Return a remedy that consists of one command."""
    return f"Run: {command(*words)}"


def command(*words: str) -> str:
    """Return the command of openstack with these arguments, quoted for a shell."""
    return shlex.join(("openstack", *words))


def add_role_to_ids(user_id: str, project_id: str, role: str) -> str:
    """Return the command that gives the user a role in the project."""
    return command("role", "add", "--user", user_id, "--project", project_id, role)


def add_role_to_names(login: Password, role: str) -> str:
    """Return the same command for a user and project that are known by name."""
    return command(
        *("role", "add", "--user", login.user_name),
        *_domain("--user-domain", login.user_domain_name),
        *("--project", login.project_name),
        *_domain("--project-domain", login.project_domain_name),
        role,
    )


def _domain(option: str, name: str) -> Iterable[str]:
    return () if name.lower() == _DEFAULT_DOMAIN else (option, name)


def accept_service_token(file: str | None) -> str:
    """Return the change of Glance's policy that lets Cinder read locations.

    *file* is Glance's policy file, None if it has none yet.
    """
    line = '"fetch_image_location": "role:service or service_roles:service"'
    return f"Put the line {line} into {file or '/etc/glance/policy.yaml'}."


def set_quota(project_id: str, name: str, limit: int, volume_type: str | None) -> str:
    """Return the command that sets a quota of the project.

    *name* is ``volumes`` or ``gigabytes``; with *volume_type* (a name, never an
    id) it is the quota of that type.
    """
    of_type = ("--volume-type", volume_type) if volume_type else ()
    return command("quota", "set", *of_type, f"--{name}", str(limit), project_id)


def pin(volume_type: str, pool_name: str) -> str:
    """Return the command that pins the volume type to a pool."""
    return command(
        *("volume", "type", "set", "--property", f"pool_name={pool_name}", volume_type)
    )


def unpin(volume_type: str) -> str:
    """Return the command that lets volumes of the type lie in any pool."""
    return command("volume", "type", "unset", "--property", "pool_name", volume_type)


def give_access(volume_type: str, project_id: str) -> str:
    """Return the command that lets the project use a private volume type."""
    return command("volume", "type", "set", "--project", project_id, volume_type)
