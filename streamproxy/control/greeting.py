"""What a process says on the terminal when it has started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import field, frozen

from .. import __version__
from ..model import Address, Config, ListenAddress, ListenerState, ListenerStatus, Snapshot, Transport


@frozen
class Credentials:
    """An admin key that was made up: its text as long as it has to be shown, and the file that keeps it."""

    new_key: str = field(default="", repr=False)
    kept_in: str = ""


def greeting(
    config: Config, listeners: Iterable[ListenerStatus], snapshot: Snapshot, credentials: Credentials
) -> list[str]:
    """The lines: what listens where for whom, where the Admin API is, and one line to try."""
    statuses = list(listeners)
    lines = [f"streamproxy {__version__} runs with {config.path}"]
    lines += [f"  {_place(status):<28} {_state(status)}" for status in statuses]
    if not statuses:
        lines.append("  nothing listens yet: create a TCP service through the Admin API")
    if config.admin is not None:
        base = f"{'https' if config.admin.tls else 'http'}://{_reachable(config.admin.listen)}"
        lines.append(f"  {'Admin API':<28} {base}/")
        if not config.admin.require_key:
            lines.append(f"  {'':<28} asks nobody for a key: whoever reaches it may change everything")
        elif credentials.new_key:
            kept = f", kept in {credentials.kept_in}" if credentials.kept_in else ", good until this process ends"
            lines.append(f"  {'':<28} X-API-KEY: {credentials.new_key}  (generated{kept})")
        elif credentials.kept_in:
            lines.append(f"  {'':<28} its key is in {credentials.kept_in}")
        lines.append(f"  {'web UI':<28} {base}/ui/")
    for name, url in _others(config):
        lines.append(f"  {name:<28} {url}")
    if config.admin is not None:
        through = _listener_to(config.admin.listen, statuses, snapshot)
        scheme = "https" if config.admin.tls else "http"
        host = _reachable(Address(through.interface, through.port)) if through else _reachable(config.admin.listen)
        lines.append(f"Try:  curl {scheme}://{host}/streamproxy/v1/status")
    return lines


def _others(config: Config) -> Iterator[tuple[str, str]]:
    """The servers beside the Admin API, and where to try them."""
    if config.metrics is not None:
        yield "metrics", f"http://{_reachable(config.metrics.listen)}{config.metrics.path}"
    if config.control is not None:
        yield "Control API", f"http://{_reachable(config.control)}/v1/healthcheck"
    if config.status is not None:
        yield "status server", f"http://{_reachable(config.status)}/status/ready"


def _place(status: ListenerStatus) -> str:
    address = status.listener.address
    return f"{address.transport.value} {Address(address.interface, status.bound_port or address.port)}"


def _state(status: ListenerStatus) -> str:
    if status.state is ListenerState.LISTENING:
        return status.listener.owner
    return f"{status.listener.owner}: {status.error}, tried again"


def _reachable(address: Address) -> str:
    """The address as somebody on this machine would write it."""
    return str(Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host), address.port))


def _listener_to(target: Address, statuses: Iterable[ListenerStatus], snapshot: Snapshot) -> ListenAddress | None:
    """A TCP listener that leads everybody to ``target``: trying it shows bytes going through."""
    for status in statuses:
        listener = status.listener
        if status.state is not ListenerState.LISTENING or listener.address.transport is not Transport.TCP:
            continue
        routes = snapshot.routings[listener.routing].routes
        if len(routes) != 1 or listener.sniff:
            continue
        upstream = snapshot.upstreams.get(routes[0].upstream)
        # A plugin may be the one to name it.
        nodes = upstream.nodes if upstream is not None else ()
        if [(node.dial_host, node.port) for node in nodes] == [(target.host, target.port)]:
            return listener.address
    return None
