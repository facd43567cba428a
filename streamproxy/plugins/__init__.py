"""Connection plugins: who may look at a session before a node is chosen for it, and after it is over."""

from .seam import GO, Gate, Go, Host, More, Place, Plugin, Reject, UpstreamReference, Verdict, Visit

__all__ = [
    "GO",
    "Gate",
    "Go",
    "Host",
    "More",
    "Place",
    "Plugin",
    "Reject",
    "UpstreamReference",
    "Verdict",
    "Visit",
]
