# SPDX-License-Identifier: Apache-2.0
"""The services' ini files: write them, and edit an option."""

from collections.abc import Mapping
import configparser
from pathlib import Path

Value = str | int | bool | Path | list[str] | tuple[str, ...]
_LOGIN = (
    "auth_type",
    "auth_url",
    "username",
    "password",
    "project_name",
    "user_domain_name",
    "project_domain_name",
)
Sections = Mapping[str, Mapping[str, Value]]


def render(sections: Sections) -> str:
    """Return the text of an oslo.config file."""
    lines: list[str] = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines.extend(f"{name} = {_text(value)}" for name, value in options.items())
        lines.append("")
    return "\n".join(lines)


def write(path: Path, sections: Sections) -> None:
    """Write the file, readable only by its owner because it may hold passwords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(render(sections), encoding="utf-8")


def set_option(text: str, group: str, name: str, value: Value | None) -> str:
    """Return ``text`` with one option of a group set, or removed for None.

    All other lines stay. A missing group is added at the end.
    """
    lines = text.splitlines()
    header = f"[{group}]"
    if header not in lines:
        if value is None:
            return text
        lines += ["", header]
    start = lines.index(header) + 1
    end = next(
        (i for i in range(start, len(lines)) if lines[i].startswith("[")), len(lines)
    )
    kept = [
        line
        for line in lines[start:end]
        if line.partition("=")[0].strip() != name or line.lstrip().startswith("#")
    ]
    if value is not None:
        kept.insert(0, f"{name} = {_text(value)}")
    return "\n".join(lines[:start] + kept + lines[end:]) + "\n"


def login(path: Path, group: str) -> dict[str, str]:
    """Return the options of the login with a password in *group*."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(path, "utf-8")
    return {name: parser[group][name] for name in _LOGIN}


def _text(value: Value) -> str:
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value)
