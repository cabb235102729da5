# SPDX-License-Identifier: Apache-2.0
"""The ONTAP simulator as a service of the lab."""

import json
from typing import Any

from lab import kernel_nfs
from lab import san
from lab.layout import HOST
from lab.layout import Layout
from lab.layout import environment_bin
from lab.services import Service

ADMIN = "cinder"


def service(lab: Layout, environment: dict[str, str]) -> Service:
    """Return the simulator, which is ready when it has written its facts."""
    root = lab.data / "ontap"
    root.mkdir(parents=True, exist_ok=True)
    users = lab.configs / "ontap-users.json"
    users.touch(mode=0o600)
    users.write_text(
        json.dumps(
            [
                {"name": ADMIN, "password": lab.passwords["ontap"], "role": "admin"},
                {
                    "name": "viewer",
                    "password": lab.passwords["ontap-viewer"],
                    "role": "readonly",
                },
            ]
        ),
        encoding="utf-8",
    )
    lab.requests("ontap").touch()
    ready = root / "ready.json"
    argv = [
        str(environment_bin() / "python3"),
        "-m", "lab.ontapsim",
        "--root", str(root),
        "--listen", f"{HOST}:{lab.ports['ontap']}",
        "--users-file", str(users),
        "--request-log", str(lab.requests("ontap")),
        "--ready-file", str(ready),
    ]  # fmt: skip
    for svm in lab.svms:
        argv += ["--svm", f"{svm.name}={svm.address}"]
        for each in svm.flexvols:
            place = f"svm={svm.name},junction={each.path},style={each.style}"
            argv += ["--flexvol", f"{each.name}:{each.size},{place}"]
    for name, size in san.FLEXVOLS.items() if lab.san else ():
        argv += ["--flexvol", f"{name}:{size}"]
    return Service(
        name="ontap",
        argv=argv,
        environment=environment,
        log=lab.log("ontap"),
        ready=lambda _: bool(facts(lab)),
        before_start=lambda: ready.unlink(missing_ok=True),
        after_start=lambda: export(lab),
    )


def facts(lab: Layout) -> dict[str, Any]:
    """Return the facts that the simulator has written; empty before it has."""
    try:
        text = (lab.data / "ontap" / "ready.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found


def export(lab: Layout) -> None:
    """Let the hosts mount the FlexVols."""
    if lab.kernel_nfs:
        kernel_nfs.serve(facts(lab)["exports"])
    else:
        _write_exports(lab)


def _write_exports(lab: Layout) -> None:
    """Write the FlexVols' directories down for the lab's mount.nfs."""
    lines = [
        f"{export}\t{directory}\n"
        for export, directory in facts(lab)["exports"].items()
    ]
    (lab.configs / "exports").write_text("".join(lines), encoding="utf-8")
