# SPDX-License-Identifier: Apache-2.0
"""The shipped api-paste.ini with the lab's request log first in the pipeline."""

from pathlib import Path
import re


def with_request_log(shipped: Path, log: Path) -> str:
    """Return the file's text; pipelines without keystone stay as they are."""
    text, changed = re.subn(
        r"(?m)^(keystone\S* = )",
        r"\1requestlog ",
        shipped.read_text(encoding="utf-8"),
    )
    if not changed:
        raise RuntimeError(f"no keystone pipeline in {shipped}")
    return (
        f"{text}\n[filter:requestlog]\n"
        "paste.filter_factory = "
        "lab.requestlog:filter_factory\n"
        f"log_file = {log}\n"
    )
