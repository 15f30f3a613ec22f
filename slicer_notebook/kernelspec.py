"""The kernel "Slicer (headless)" in Jupyter's list of kernels: a notebook that runs in Slicer itself.

Format: https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from slicer_notebook.errors import InputError

__all__ = ["DISPLAY_NAME", "NAME", "install", "remove", "spec"]

NAME = "slicer-headless"
DISPLAY_NAME = "Slicer (headless)"


def spec() -> dict[str, object]:
    """The content of ``kernel.json``: the kernel runs on the Python that this runs on."""
    return {
        "argv": [sys.executable, "-m", "slicer_notebook.host", "-f", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "python",
        # An interrupt is a signal to the process: a cell that waits in C++ code ends only so.
        "interrupt_mode": "signal",
        "metadata": {"debugger": False},
    }


def install(*, user: bool = False, prefix: str | None = None) -> Path:
    """Write the kernelspec where Jupyter finds it, over one that is there.

    Args:
        user: into the user's Jupyter folder, for all of the user's environments.
        prefix: into ``PREFIX/share/jupyter/kernels``; `sys.prefix` is this environment's.

    Returns:
        The folder that was written.

    Raises:
        InputError: the folder cannot be written, or both places or none were asked for.
    """
    if user == (prefix is not None):
        raise InputError("One place is needed.", expected="user=True or a prefix", got=f"user={user}, prefix={prefix}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernel.json").write_text(json.dumps(spec(), indent=1) + "\n", encoding="utf-8")
        with as_file(files("slicer_notebook") / "resources" / "kernelspec") as logos:
            for logo in logos.glob("logo-*"):
                shutil.copy(logo, folder)
        try:
            return Path(KernelSpecManager().install_kernel_spec(name, NAME, user=user, prefix=prefix))
        except OSError as error:
            raise InputError(
                f"The kernelspec cannot be written: {error}",
                hint="'slicer-notebook kernelspec install --user' writes into your home folder",
            ) from error


def remove() -> Path:
    """Remove the kernelspec that Jupyter finds first.

    Returns:
        The folder that was removed.

    Raises:
        InputError: there is none, or it cannot be removed.
    """
    manager = KernelSpecManager()
    try:
        manager.get_kernel_spec(NAME)  # removing one that is not there would be a KeyError
        return Path(manager.remove_kernel_spec(NAME))
    except NoSuchKernel as error:
        raise InputError(
            f"Jupyter knows no kernel {NAME} here.", hint="'jupyter kernelspec list' shows those there are"
        ) from error
    except OSError as error:
        raise InputError(f"The kernelspec cannot be removed: {error}") from error
