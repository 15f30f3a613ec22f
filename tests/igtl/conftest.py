"""Servers and clients that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from slicer_notebook import igtl
from tests.igtl.peers import Heard


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., tuple[igtl.Server, Heard]]:
    """Starts a server on a free port; it, and what it hears."""

    def serve(**options: Any) -> tuple[igtl.Server, Heard]:
        heard = Heard()
        server = stack.enter_context(igtl.Server(port=0, **{**heard.callbacks, **options}))
        return server, heard

    return serve


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., tuple[igtl.Client, Heard]]:
    """Connects a client to an address; it, and what it hears."""

    def connect(address: tuple[str, int], *, wait: bool = True, **options: Any) -> tuple[igtl.Client, Heard]:
        heard = Heard()
        client = stack.enter_context(igtl.Client(*address, **{**heard.callbacks, **options}))
        if wait:
            client.wait_connected(30)
        return client, heard

    return connect
