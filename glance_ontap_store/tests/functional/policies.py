# SPDX-License-Identifier: Apache-2.0
"""Policy files of the lab's services, and the two ways by which Cinder finds locations.

The lab has the recommended one: Glance's policy accepts Cinder's service token.
"""

from collections.abc import Iterator
import contextlib
import itertools
from pathlib import Path
import textwrap
from typing import Any

from glance_ontap_store.tests.functional import direct
from lab import ini

PAGES = Path(__file__).parents[3] / "doc/source/admin"


@contextlib.contextmanager
def policy_file(
    lab: Any, service: str, text: str | None, restarted: str | None = None
) -> Iterator[None]:
    """Give the service this policy file, or none, until the block ends.

    *restarted* is the process that reads it, if it has another name.
    """
    direct.must_be_alone()
    path = Path(lab.facts["configs"]) / service / "policy.yaml"
    before = path.read_text("utf-8") if path.exists() else None
    _write(path, text)
    lab.restart(restarted or service)
    try:
        yield
    finally:
        _write(path, before)
        lab.restart(restarted or service)


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text, "utf-8")


def documented(page: str, rule: str, which: int = 0) -> str:
    """Return the policy file with *rule* from the documentation for operators.

    If there are several, *which* counts them from 0.
    """
    path = PAGES / page
    found = []
    for block in path.read_text("utf-8").split(".. code-block:: yaml\n\n")[1:]:
        lines = itertools.takewhile(
            lambda line: line.startswith("    "), block.split("\n")
        )
        text = textwrap.dedent("\n".join(lines)) + "\n"
        if f'"{rule}"' in text:
            found.append(text)
    assert len(found) > which, f"no policy file in {path} has {rule}"
    return found[which]


@contextlib.contextmanager
def credentials_for_glance(lab: Any, admin: Any) -> Iterator[None]:
    """Give cinder.conf a user in ``[glance]`` until the block ends.

    Glance has its default policies meanwhile, and the user the role ``admin``.
    """
    login = ini.login(lab.cinder_config, "service_user")
    user = admin.identity.find_user(login["username"], ignore_missing=False)
    project = admin.identity.find_project(login["project_name"], ignore_missing=False)
    role = admin.identity.find_role("admin", ignore_missing=False)
    with contextlib.ExitStack() as undo:
        admin.identity.assign_project_role_to_user(project, user, role)
        undo.callback(
            admin.identity.unassign_project_role_from_user, project, user, role
        )
        undo.enter_context(policy_file(lab, "glance", None))
        undo.enter_context(direct.cinder_options(lab, {"glance": login}))
        yield
