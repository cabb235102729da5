# SPDX-License-Identifier: Apache-2.0
"""A shell of the kernel, which does what an array's administrator would do."""

import subprocess
import threading


class Shell:
    """Runs commands in a process that was started before anything is mounted.

    The process of the tests holds mounts and devices, and may wait for a server: a
    command that it forks to bring the server back could wait, too.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )
        # Guards the pipes. Reach: the threads of a case.
        self._lock = threading.Lock()

    def run(self, command: str) -> str:
        """Return what *command* printed.

        :raises AssertionError: it failed
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(f"{{ {command}\n}} </dev/null; code=$?\n")
            process.stdin.write("echo; echo '#END' $code\n")
            process.stdin.flush()
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("#END"):
                    break
        end = lines.pop() if lines else "the shell has ended"
        text = "".join(lines).strip()
        assert end == "#END 0\n", f"{command[-200:]}: {text} {end}"
        return text

    def start(self, command: str) -> None:
        """Let *command* run beside the case; `wait` ends when it has ended."""
        self.run(f"( {command}\n) >/dev/null 2>&1 &")

    def wait(self) -> None:
        """Return when all commands have ended that were started."""
        self.run("wait")

    def close(self) -> None:
        """End the shell."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
