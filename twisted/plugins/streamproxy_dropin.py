from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "streamproxy",
    "streamproxy.tap",
    "Proxy TCP, UDP and TLS by rules that change while it runs.",
    "streamproxy",
)
