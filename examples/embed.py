"""A Twisted application with a proxy in it: listens on port 8000 and relays by the name the client asks for."""

from twisted.internet import endpoints, reactor

from streamproxy.embed import stream_proxy

rules = [{"domain": "*.example.com", "targets": [{"host": "127.0.0.1", "port": 8001}]}]
proxy = stream_proxy(reactor, {"tls": "PassThrough", "sni": {"enabled": True}, "rules": rules})
endpoints.serverFromString(reactor, "tcp:8000:interface=127.0.0.1").listen(proxy)
reactor.run()
