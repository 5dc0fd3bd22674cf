"""Values of headers for APIs that hand them to Envoy as they are."""

from __future__ import annotations

from replicator.tree import Text


def literal(value: Text) -> Text:
    """The value, where Envoy would read `%` as the beginning of a command and refuse what is none.

    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers
    """
    return tuple(part.replace("%", "%%") if isinstance(part, str) else part for part in value)
