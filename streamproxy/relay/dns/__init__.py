"""Asking DNS: messages, exchanges with servers, whole lookups, and a cache over them."""
