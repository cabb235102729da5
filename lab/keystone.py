# SPDX-License-Identifier: Apache-2.0
"""The lab's Keystone: configuration, database, process, projects and users."""

import base64
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
from typing import Any

from keystoneauth1 import adapter
from keystoneauth1 import session
from keystoneauth1.identity import v3
import yaml

from lab import databases
from lab import ini
from lab import uwsgi
from lab.ini import Value
from lab.layout import REGION
from lab.layout import Layout
from lab.layout import environment_bin
from lab.services import Service
from lab.services import run_step

CONFIG = "/etc/keystone/keystone.conf"
PROCESSES = 1
THREADS = 4


def write_config(lab: Layout) -> None:
    keys = lab.data / "keystone"
    ini.write(
        lab.configs / "keystone" / "keystone.conf",
        {
            "DEFAULT": {"debug": False, "use_stderr": True},
            "database": {
                "connection": databases.url(lab.data / "keystone.sqlite"),
                "sqlite_synchronous": False,
            },
            "token": {"provider": "fernet", "expiration": 24 * 3600},
            "fernet_tokens": {"key_repository": keys / "fernet"},
            "fernet_receipts": {"key_repository": keys / "fernet"},
            "credential": {"key_repository": keys / "credential"},
            # By default bcrypt takes 0.25 s for a login.
            "identity": {"password_hash_rounds": 4},
        },
    )
    for name in ("fernet", "credential"):
        _write_keys(keys / name)


def _write_keys(directory: Path) -> None:
    """Write a staged and a primary key, as ``keystone-manage fernet_setup`` does."""
    directory.mkdir(parents=True, mode=0o700)
    for number in ("0", "1"):
        path = directory / number
        path.touch(mode=0o600)
        path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def prepare(lab: Layout, environment: dict[str, str]) -> bool:
    """Make the database with its first administrator.

    Return whether the schema was ready-made.
    """
    manage = [str(environment_bin() / "keystone-manage"), "--config-file", CONFIG]
    log = lab.log("keystone-setup")
    ready = databases.prepare(
        "keystone",
        lab.data / "keystone.sqlite",
        lambda: run_step("keystone", [*manage, "db_sync"], environment, log),
    )
    url = lab.url("keystone")
    first = {
        "OS_BOOTSTRAP_USERNAME": "admin",
        "OS_BOOTSTRAP_PASSWORD": lab.passwords["admin"],
        "OS_BOOTSTRAP_PROJECT_NAME": "admin",
        "OS_BOOTSTRAP_ROLE_NAME": "admin",
        "OS_BOOTSTRAP_SERVICE_NAME": "keystone",
        "OS_BOOTSTRAP_ADMIN_URL": url,
        "OS_BOOTSTRAP_PUBLIC_URL": url,
        "OS_BOOTSTRAP_INTERNAL_URL": url,
        "OS_BOOTSTRAP_REGION_ID": REGION,
    }
    run_step("keystone", [*manage, "bootstrap"], environment | first, log)
    return ready


def service(lab: Layout, environment: dict[str, str]) -> Service:
    application = uwsgi.entry_point(
        "keystone.wsgi.api", "keystone.server.wsgi:initialize_public_application"
    )
    port = lab.ports["keystone"]
    return Service(
        name="keystone",
        argv=uwsgi.command(application, port, PROCESSES, THREADS),
        environment=environment,
        log=lab.log("keystone"),
        ready=uwsgi.ready(lab.url("keystone"), PROCESSES, (200,)),
    )


def write_clouds(lab: Layout) -> None:
    """Write clouds.yaml with the lab's three users."""
    projects = {"admin": "admin", "alice": "acme", "bob": "globex"}
    clouds = {
        user: {
            "auth": {
                "auth_url": lab.url("keystone"),
                "username": user,
                "password": lab.passwords[user],
                "project_name": project,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "identity_api_version": "3",
            "volume_api_version": "3",
        }
        for user, project in projects.items()
    }
    lab.clouds.touch(mode=0o600)
    lab.clouds.write_text(yaml.safe_dump({"clouds": clouds}), encoding="utf-8")


def admin_session(lab: Layout) -> session.Session:
    auth = v3.Password(
        auth_url=lab.url("keystone"),
        username="admin",
        password=lab.passwords["admin"],
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    return session.Session(auth=auth)


def create_identities(lab: Layout, admin: session.Session) -> None:
    """Create projects, users, role assignments and the catalogue."""
    api = adapter.Adapter(admin, service_type="identity", interface="public")

    def create(kind: str, **body: Any) -> str:
        answer = api.post(f"/{kind}s", json={kind: body}).json()
        return str(answer[kind]["id"])

    projects = {
        name: create("project", name=name, domain_id="default")
        for name in sorted({project for project, _ in lab.users.values()})
    }
    roles = {role["name"]: role["id"] for role in api.get("/roles").json()["roles"]}

    def create_user(name: str) -> None:
        project, granted = lab.users[name]
        user = create(
            "user",
            name=name,
            domain_id="default",
            password=lab.passwords[name],
            default_project_id=projects[project],
        )
        for role in granted:
            api.put(f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}")

    def publish(name: str, kind: str) -> None:
        new = create("service", name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            create(
                "endpoint",
                service_id=new,
                interface=interface,
                url=lab.url(name),
                region_id=REGION,
            )

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(create_user, name) for name in lab.users]
        work += [
            pool.submit(publish, "glance", "image"),
            pool.submit(publish, "cinder", "volumev3"),
        ]
        for item in work:
            item.result()


def authtoken(lab: Layout, user: str) -> dict[str, Value]:
    """Return the options by which a service validates tokens."""
    return {
        **credentials(lab, user),
        "www_authenticate_uri": lab.url("keystone"),
        "service_token_roles": "service",
        "service_token_roles_required": True,
    }


def credentials(lab: Layout, user: str) -> dict[str, Value]:
    """Return keystoneauth's options for a login with a password."""
    return {
        "auth_type": "password",
        "auth_url": lab.url("keystone"),
        "username": user,
        "password": lab.passwords[user],
        "project_name": lab.users[user][0],
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }
