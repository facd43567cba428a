"""What a configuration is made of besides the documents in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from ..dialects.assemble import Assembled, Vault, assemble
from ..dialects.native.standalone import Documents
from ..model import Config, Document, ListenAddress, Transport
from ..plugins.seam import Plugin


@frozen(eq=False)
class Means:
    """
    The configuration file, what opens the secrets in documents, what a file of documents ``declared``, and the
    connection plugins that routes may use. A new one is made when one of them changes: two are never the same.
    """

    config: Config
    vault: Vault
    declared: Documents
    plugins: Mapping[str, Plugin]

    @property
    def from_files(self) -> tuple[Document, ...]:
        """What files declare, which no API changes."""
        return (*self.config.resources, *self.declared.documents)

    def assemble(self, stored: Iterable[Document], revision: int) -> Assembled:
        """The whole that these documents of the store are part of, and what is wrong with it."""
        declared = {document.key for document in self.from_files}
        documents = [*self.from_files, *(document for document in stored if document.key not in declared)]
        config = self.config
        assembled = assemble(
            documents,
            static=config.stream_proxy,
            limits=config.limits,
            access=config.access,
            revision=revision,
            vault=self.vault,
            plugins=self.plugins,
            trusted_proxies=config.trusted_proxies,
            client_ca=config.tls.client_ca is not None,
            reserved=_reserved(config),
        )
        return assembled if config.health_checks else _unchecked(assembled)


def _unchecked(assembled: Assembled) -> Assembled:
    """The same without health checks."""
    upstreams = {name: evolve(each, checks=None) for name, each in assembled.snapshot.upstreams.items()}
    return evolve(assembled, snapshot=evolve(assembled.snapshot, upstreams=upstreams))


def _reserved(config: Config) -> dict[ListenAddress, str]:
    """The addresses of the process's own servers. In place of port 0 the kernel finds one that is free."""
    servers = {
        "admin.listen": None if config.admin is None else config.admin.listen,
        "metrics.listen": None if config.metrics is None else config.metrics.listen,
        "control.listen": config.control,
        "status.listen": config.status,
    }
    return {
        ListenAddress(Transport.TCP, address.host, address.port): name
        for name, address in servers.items()
        if address is not None and address.port
    }
