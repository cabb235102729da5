# SPDX-License-Identifier: Apache-2.0
"""The kernel of the tests and its programs: packages of Debian, unpacked.

Nothing is installed. The packages that the host has already are used from there.
"""

from pathlib import Path
import shutil
import subprocess

from glance_ontap_store.tests.kernel.errors import Unusable

_PACKAGES = Path(__file__).with_name("packages.txt")
_KERNEL = "user-mode-linux"
# Debian has these as links to the directories of the same names below usr. In the
# overlay, a directory would hide the link.
_MERGED = ("bin", "lib", "lib64", "sbin")


def ensure(home: Path) -> Path:
    """Return the directory of the unpacked packages below *home*; fetch what is not.

    :raises Unusable: there is no apt, or it does not get the packages
    """
    wanted = _PACKAGES.read_text(encoding="utf-8").split()
    system, done = home / "system", home / "packages"
    if done.exists() and done.read_text(encoding="utf-8").split() == wanted:
        return system
    done.unlink(missing_ok=True)
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            raise Unusable(f"there is no {program}: the kernel is a package of Debian")
    debs = home / "debs"
    for directory in (debs, system):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    names = _missing(wanted)
    print(f"kernel: fetching {len(names)} packages", flush=True)
    _run("apt-get", "-q", "download", *names, cwd=debs)
    for package in sorted(debs.iterdir()):
        _run("dpkg", "-x", str(package), str(system))
    for name in _MERGED:
        _merge(system / name, system / "usr" / name)
    shutil.rmtree(debs)
    done.write_text("\n".join(wanted), encoding="utf-8")
    return system


def _missing(wanted: list[str]) -> list[str]:
    """The packages to fetch: those that the host lacks, and the kernel."""
    command = ("apt-get", "-s", "install", "--no-install-recommends", *wanted)
    try:
        planned = _run(*command)
    except Unusable:
        _run("apt-get", "-q", "update")
        planned = _run(*command)
    # "Inst NAME (VERSION ...)", or "Inst NAME [OLD] (...)" of one that is there.
    lines = [line.split() for line in planned.splitlines()]
    return sorted(
        {words[1] for words in lines if words[:1] == ["Inst"] and words[2][0] == "("}
        | {_KERNEL}
    )


def _merge(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(source)


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-10:])
        raise Unusable(f"{' '.join(command[:3])} ... failed:\n{tail}")
    return done.stdout
