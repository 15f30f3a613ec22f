"""Starting a headless Slicer in a process of its own, through jupyter_client."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from slicer_notebook import errors
from slicer_notebook.protocol.shm import machine_id
from slicer_notebook.session import records

__all__ = ["Launched"]

#: Lines of Slicer's own output shown when it does not start.
_LAST_LINES = 20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Launched:
    """A Slicer process that this notebook started.

    Args:
        name: names it in `sn.sessions()`.
        python: interpreter with ``slicer-notebook[headless]``; this one by default.
        keep: it goes on when the notebook's kernel ends.
        environment: further environment variables.
    """

    def __init__(
        self,
        name: str | None,
        *,
        python: str | None = None,
        keep: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = _free_name(name)
        self.python = python or sys.executable
        self.keep = keep
        self._environment = environment or {}
        self._manager: Any = None
        self._log: Any = None

    def start(self) -> None:
        """Start the process.

        Raises:
            SlicerNotInstalledError: this Python has no slicer-core.
            LaunchError: the process could not be made.
        """
        self._need_slicer()
        # Another interpreter or path may have an older ipykernel, which would not understand.
        encrypts = self.python == sys.executable and "PYTHONPATH" not in self._environment and _can_encrypt()
        manager = KernelManager(transport_encryption="required") if encrypts else KernelManager()
        manager._kernel_spec = KernelSpec(
            argv=[self.python, "-m", "slicer_notebook.host", "-f", "{connection_file}"],
            display_name="Slicer (headless)",
            language="python",
            interrupt_mode="signal",
            metadata={"supported_encryption": "curve"} if encrypts else {},
        )
        environment = os.environ | {"SLICER_NOTEBOOK_NAME": self.name} | self._environment
        # What Slicer prints before its kernel listens is shown if it does not start, and otherwise to nobody.
        self._log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see _forget
        try:
            manager.start_kernel(
                env=environment,
                independent=self.keep,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, RuntimeError) as exc:
            raise errors.LaunchError("The Slicer process could not be started.", got=str(exc)) from exc
        self._manager = manager
        records.write(
            records.SessionRecord(
                name=self.name,
                connection_file=str(manager.connection_file),
                pid=self.pid,
                owner=os.getpid(),
                started=time.time(),
                kept=self.keep,
                machine=machine_id(),
            )
        )

    def _need_slicer(self) -> None:
        if self.python == sys.executable and (
            importlib.util.find_spec("slicer_core") is None or importlib.util.find_spec("trame_slicer") is None
        ):
            raise errors.SlicerNotInstalledError(
                "This Python has no Slicer to start.",
                expected="the packages slicer-core and trame-slicer",
                got=f"neither or only one of them in {sys.executable}",
                hint="pip install 'slicer-notebook[headless]', or connect to a running Slicer with sn.connect()",
            )
        if not Path(self.python).exists():
            raise errors.LaunchError("There is no such Python.", expected="an interpreter", got=self.python)

    @property
    def connection_file(self) -> str:
        """The kernel's connection file."""
        return str(self._manager.connection_file)

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self._manager.provisioner.process.pid)

    def exited(self) -> bool:
        """Whether the process has ended."""
        return self._manager is None or self._manager.provisioner.process.poll() is not None

    def last_words(self) -> str:
        """What the process printed last, outside its kernel."""
        self._log.seek(0)
        return "\n".join(self._log.read().splitlines()[-_LAST_LINES:])

    def stop(self, grace: float = 5.0) -> None:
        """End the process: it was asked already; after ``grace`` seconds it is killed."""
        if self._manager is None:
            return
        process = self._manager.provisioner.process
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        self._forget()

    def kill(self) -> None:
        """End the process at once."""
        if self._manager is not None:
            self._manager.provisioner.process.kill()
            self.stop()

    def _forget(self) -> None:
        records.remove(self.name)
        self._manager.cleanup_connection_file()
        if self._log is not None:
            self._log.close()
            self._log = None
        self._manager = None


def _can_encrypt() -> bool:
    """Whether both ends of this Python speak CurveZMQ (jupyter_client and ipykernel of 2026).

    Other users of the machine can then neither read nor write what goes over the loopback interface. It costs no
    measurable time per call.
    """
    import zmq
    from ipykernel.heartbeat import Heartbeat

    return (
        bool(zmq.has("curve"))
        and hasattr(KernelManager, "transport_encryption")
        and "curve_publickey" in inspect.signature(Heartbeat.__init__).parameters
    )


def _free_name(name: str | None) -> str:
    taken = {record.name for record in records.read_all()}
    if name is None:
        number = 1
        while (found := f"slicer-{number}") in taken or (records.folder() / f"{found}.json").exists():
            number += 1
        return found
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise errors.ArgumentError(
            "That is no name for a session.", expected="letters, digits, . _ - (at most 64)", got=repr(name)
        )
    if name in taken:
        raise errors.ArgumentError(
            f"A Slicer called {name!r} is running.",
            expected="another name",
            got=name,
            hint=f"sn.connect({name!r}) joins it",
        )
    return name
