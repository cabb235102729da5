# SPDX-License-Identifier: Apache-2.0
"""Logs, files and command lines of a run at DEBUG have no password and no token."""

from collections.abc import Iterator
import contextlib
from pathlib import Path
import re
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores

pytestmark = pytest.mark.shared

# A Fernet token: version byte 0x80 and a time, in base64.
TOKEN = re.compile(rb"gAAAAA[\w-]{60,}")
# By default the libraries below are kept at WARNING even then.
DEBUG = {"debug": "true", "default_log_levels": "sqlalchemy=WARN"}
STORES = ("fv1", "fv2", "fv3", "own")
# The operator writes the configuration; Keystone keeps secrets in databases.
NOT_WRITTEN_BY_A_RUN = ("configs", "private", "clouds.yaml", "keystone", "plugins")


def passwords() -> dict[str, bytes]:
    """Return the passwords of the stores' users."""
    return {
        store: stores.option(store, "ontap_store_password").encode() for store in STORES
    }


def secrets(lab: Any) -> dict[str, bytes]:
    """Return the lab's secrets: of users, services, the array and the broker."""
    root = Path(lab.facts["root"])
    files = [*(root / "configs").rglob("*"), root / "clouds.yaml"]
    return {
        f"{path.name}: {line.partition('=')[0].strip()[:30]} ({secret[:4]}...)": (
            secret.encode()
        )
        for path in files
        if path.is_file()
        for line in path.read_text("utf-8").splitlines()
        if path.suffix == ".json" or re.search("pass|fixed_key|rabbit://", line)
        for secret in re.findall(r"\b[0-9a-f]{32,}\b", line)
    }


def use(lab: Any, user: User) -> None:
    """Do usual operations, and some that fail."""
    for store in ("fv1", "own"):
        image = user.uploaded(Sized(MIB), store)
        assert user.download(image.id).content == pattern.at(0, MIB)
        user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
        user.cloud.image.delete_image(image.id, ignore_missing=False)
    assert user.put(user.image(), Sized(7 << 30), "fv3").status_code == 413


def written(lab: Any) -> Iterator[tuple[str, bytes]]:
    """Yield each small file that the lab's services have written, and command lines."""
    root = Path(lab.facts["root"])
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if set(parts) & set(NOT_WRITTEN_BY_A_RUN) or not path.is_file():
            continue
        # FlexVols' disks, their volumes, and databases.
        if path.stat().st_size > 64 * MIB or ".sqlite" in path.name:
            continue
        yield str(path.relative_to(root)), path.read_bytes()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield str(path), path.read_bytes()


@pytest.mark.exclusive
def test_no_secret_in_logs_states_and_command_lines(lab: Any, user: User) -> None:
    # Other tests of this lab configure a password where a name belongs, and
    # Keystone logs names that it does not know.
    before = dict(written(lab))
    with direct.glance_options(lab, {"DEFAULT": DEBUG}):
        use(lab, user)
        found = {
            name: content.removeprefix(before.get(name, b""))
            for name, content in written(lab)
        }
    # A log that does not begin as it did is looked at as a whole.
    assert b" DEBUG keystoneauth" in found["logs/glance.log"]
    assert any("locks" in name for name in found), "no lock file was looked at"
    leaks = {
        f"{name}: {what}"
        for name, content in found.items()
        for what, secret in secrets(lab).items()
        if secret in content
    }
    assert leaks == set()
    # All that happens in Glance's processes, the libraries that we call included.
    assert TOKEN.findall(found["logs/glance.log"]) == []


def test_no_secret_in_the_text_of_an_error(lab: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    context = direct.context("alice")
    for options in (
        {"store_password": "wr0ng-passw0rd"},
        {"store_auth_address": "http://127.0.0.1:1/v3", "http_retries": 0},
        {"endpoint_template": "http://127.0.0.1:1/%(project_id)s"},
        {"volume_type": "no-such-type"},
    ):
        store = stores.make_store(
            lab, "own", mount_point_base=stores.new_base(), **options
        )
        with pytest.raises(Exception) as caught:
            store.add(str(uuid.uuid4()), Pattern(1), 1, "sha512", context=context)
        texts = []
        error: BaseException | None = caught.value
        while error:
            texts.append(f"{error!s} {error!r}")
            error = error.__cause__ or error.__context__
        texts.append(caplog.text)
        for secret in (*passwords().values(), b"wr0ng-passw0rd"):
            assert secret.decode() not in "\n".join(texts)
        assert context.auth_token not in "\n".join(texts)
        assert not TOKEN.search("\n".join(texts).encode())


def test_the_search_would_find_a_secret(lab: Any) -> None:
    token = direct.context("alice").auth_token
    assert TOKEN.fullmatch(token.encode())
    known = set(secrets(lab).values())
    assert set(passwords().values()) < known
    users = {"admin", "alice", "bob", "cinder", "glance"}
    # And of the array, of the broker, and Cinder's key.
    assert len(known) >= len(STORES) + len(users) + 3


@pytest.mark.exclusive
def test_no_secret_of_an_application_credential(lab: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    owner = direct.owner("fv1")
    user_id = owner.current_user_id
    credential = owner.identity.create_application_credential(
        user=user_id, name="secret"
    )
    caplog.clear()
    try:
        store = stores.make_store(
            lab,
            mount_point_base=stores.new_base(),
            store_user_name=None,
            store_password=None,
            store_project_name=None,
            store_application_credential_id=credential.id,
            store_application_credential_secret=credential.secret,
        )
        url = store.add(str(uuid.uuid4()), Pattern(1), 1, "sha512")[0]
        store.delete(direct.located("fv1", url))
        assert "keystoneauth" in caplog.text
        assert credential.secret not in caplog.text
    finally:
        owner.identity.delete_application_credential(user_id, credential)
