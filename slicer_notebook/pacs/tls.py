"""TLS for connections to a PACS: modern defaults, certificate and host name checked (PS3.15 B.12)."""

from __future__ import annotations

import ssl

from slicer_notebook.errors import PacsConfigError
from slicer_notebook.pacs.server import Server

__all__ = ["client_context"]


def client_context(server: Server, key_password: str = "") -> ssl.SSLContext:
    """A context for connections to a server.

    Args:
        key_password: of our certificate's key.

    Raises:
        PacsConfigError: a certificate or key file cannot be used.
    """
    try:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if server.ca_file:
            context.load_verify_locations(server.ca_file)
        if server.cert_file:
            context.load_cert_chain(server.cert_file, server.key_file or None, key_password or None)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise PacsConfigError(
            f"The certificates of {server.name!r} cannot be used.",
            expected="PEM files: ca_file, cert_file, key_file",
            got=getattr(exc, "reason", None) or getattr(exc, "strerror", None) or type(exc).__name__,
            details={"server": server.name},
        ) from exc
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
