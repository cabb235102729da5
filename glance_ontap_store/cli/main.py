# SPDX-License-Identifier: Apache-2.0
"""The start of ``glance-ontap``: what it needs may be missing, or take a while.

This module imports little, so that an early ctrl-C shows no traceback.
"""

from collections.abc import Sequence
import importlib.util
import sys

# The exit code of a shell's command that SIGINT ended.
_INTERRUPTED = 130
# Libraries of cli-requirements.txt. ``check`` itself reports a missing oslo.rootwrap.
_EXTRA = ("cliff", "jsonschema", "openstack", "oslo_policy", "yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. *arguments* default to sys.argv."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    for name in _EXTRA:
        if importlib.util.find_spec(name) is None:
            return _failed(
                f"the Python package {name} is missing. Install what the command"
                " needs: pip install 'glance_ontap_store[cli]'"
            )
    from glance_ontap_store.cli import application

    return application.run(arguments)


def _failed(text: str) -> int:
    print(f"glance-ontap: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
