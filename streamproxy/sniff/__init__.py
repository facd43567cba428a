"""
Bytes to facts, without doing any I/O.

Each sniffer is a function of the first bytes of a stream. It looks at them, takes none, never raises, and answers
``Need`` (more bytes), ``Miss`` (another protocol, or a broken one) or ``Hit`` (the facts).
"""

from .clienthello import MAX_HELLO, ClientHello, sniff_client_hello
from .httphead import MAX_HEAD, HttpHead, sniff_http_host
from .mqtt import MAX_CONNECT, MqttConnect, sniff_mqtt_connect
from .names import normalize_name
from .proxyheader import MAX_V2_PAYLOAD, Endpoint, ProxyHeader, UnixAddress, sniff_proxy_header
from .proxytlv import ProxySsl, SslClient, SslTlvType, Tlv, TlvError, TlvType, write_ssl
from .proxywrite import encode_proxy_v1, encode_proxy_v2
from .verdict import Hit, Miss, Need, Verdict, Window

__all__ = [
    "Hit",
    "Miss",
    "Need",
    "Verdict",
    "Window",
    "ClientHello",
    "sniff_client_hello",
    "MAX_HELLO",
    "HttpHead",
    "sniff_http_host",
    "MAX_HEAD",
    "MqttConnect",
    "sniff_mqtt_connect",
    "MAX_CONNECT",
    "ProxyHeader",
    "Endpoint",
    "UnixAddress",
    "Tlv",
    "TlvType",
    "TlvError",
    "ProxySsl",
    "SslClient",
    "SslTlvType",
    "sniff_proxy_header",
    "encode_proxy_v1",
    "encode_proxy_v2",
    "write_ssl",
    "MAX_V2_PAYLOAD",
    "normalize_name",
]
