# SPDX-License-Identifier: Apache-2.0
"""Judge this host: its programs and packages, and how commands become root."""

from collections.abc import Iterator

from glance_ontap_store.checks import block
from glance_ontap_store.checks import codes
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Facts

_PACKAGE_OF = {
    "mount.nfs": "Install nfs-common (Debian, Ubuntu) or nfs-utils (Red Hat, SUSE).",
    "mount": "Install util-linux or mount.",
    "umount": "Install util-linux or mount.",
    "sudo": "Install sudo, and the rule for Glance's user (see Install).",
    "glance-rootwrap": "Install Glance in the Python environment of this command.",
}

judges = Judges()


@judges.once()
def programs_are_installed(facts: Facts) -> Iterator[Finding]:
    """Report programs that are missing on this host."""
    for name, path in facts.host.programs.items():
        if path is None and not (name == "mount.nfs" and block.is_all(facts)):
            yield codes.PROGRAM_MISSING(
                "host",
                f"The program {name} is missing on this host.",
                _PACKAGE_OF[name],
            )


@judges.once()
def packages_are_installed(facts: Facts) -> Iterator[Finding]:
    """Report Python packages that are missing in this environment."""
    for name, version in facts.host.packages.items():
        if version is None:
            yield codes.PACKAGE_MISSING(
                "host",
                f"The Python package {name} is missing in this environment.",
                f"Run pip install {name} in the environment that glance-api runs in,"
                " and run glance-ontap from that environment too.",
            )


@judges.once()
def rootwrap_starts_the_helper(facts: Facts) -> Iterator[Finding]:
    """Report a glance-rootwrap that does not start the helper."""
    if facts.glance.helper_command is not None:
        yield codes.not_asked(
            "host",
            "whether the helper that mounts can start",
            "helper_command is set in [privsep_ontap]",
            "Try it: glance-ontap check --deep.",
        )
        return
    for path, problem in facts.host.rootwrap.items():
        if isinstance(problem, Unknown):
            yield codes.not_asked(
                "host",
                "whether glance-rootwrap starts the helper that mounts",
                problem.text,
                "Run the command as root or as Glance's user.",
            )
        elif problem is not None:
            yield codes.ROOTWRAP(
                "host",
                f"glance-rootwrap with {path} does not start the helper that mounts:"
                f" {problem}.",
                "Set ontap_rootwrap_config to Glance's rootwrap.conf. Its filters_path"
                " must contain glance_ontap_store.filters, and its exec_dirs the"
                " directory of privsep-helper.",
            )


@judges.once()
def sudo_is_allowed(facts: Facts) -> Iterator[Finding]:
    """Report a missing rule of sudo for glance-rootwrap."""
    if facts.glance.helper_command is not None or not facts.host.rootwrap:
        return
    allowed = facts.host.sudo
    if isinstance(allowed, Unknown):
        if facts.host.programs.get("sudo"):  # otherwise there is a finding already
            yield codes.not_asked(
                "host",
                "whether Glance's user may run glance-rootwrap with sudo, and use the"
                " directories",
                allowed.text,
                "Run the command as the user that glance-api runs as.",
            )
    elif not allowed:
        yield codes.SUDO(
            "host",
            "sudo does not let Glance's user run glance-rootwrap as root without a"
            " password.",
            "Add the rule for glance-rootwrap from the installation guide to sudoers.",
        )
