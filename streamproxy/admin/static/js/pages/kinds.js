// The kinds of documents that are edited as JSON: where they are, how one begins, and what there is to know of them.

import { get, getTagged, V1 } from "../api.js";

const ADMIN = "apisix/admin/";

/** An APISIX resource. `columns` as for tables; a row is {id, value, ...}. */
function apisix(resource, rest) {
  return {
    path: (id) => `${ADMIN}${resource}/${encodeURIComponent(id)}`,
    create: (body) => (body?.id === undefined ? ["POST", `${ADMIN}${resource}`] : ["PUT", `${ADMIN}${resource}/${encodeURIComponent(body.id)}`]),
    async list() {
      const found = await get(`${ADMIN}${resource}`);
      return (found.list ?? found.node?.nodes ?? []).map((each) => ({ id: String(each.value.id ?? each.key.split("/").pop()), value: each.value }));
    },
    async read(id) {
      const { value, tag } = await getTagged(`${ADMIN}${resource}/${encodeURIComponent(id)}`);
      return { value: undated((value.node ?? value).value), tag: tag ?? (value.modifiedIndex ? `"${value.modifiedIndex}"` : null) };
    },
    schema: () => get(`${ADMIN}schema/${resource.replace(/s$/, "")}`),
    ...rest,
  };
}

/** APISIX writes the dates itself and refuses those that come from elsewhere. */
function undated({ create_time: _created, update_time: _updated, ...rest }) {
  return rest;
}

function nodes(value) {
  const found = value?.nodes;
  if (!found) return value?.service_name ? `service ${value.service_name}` : "";
  const list = Array.isArray(found) ? found.map((node) => `${node.host}:${node.port}`) : Object.keys(found);
  return list.length > 3 ? `${list.slice(0, 3).join(", ")} and ${list.length - 3} more` : list.join(", ");
}

function leads(value) {
  if (value.upstream) return nodes(value.upstream);
  if (value.upstream_id !== undefined) return `upstream ${value.upstream_id}`;
  if (value.service_id !== undefined) return `service ${value.service_id}`;
  return "";
}

function plugins(value) {
  return Object.keys(value.plugins ?? {}).join(", ");
}

const named = [
  { key: "id", label: "Id", value: (row) => row.id, filter: true, code: true },
  { key: "name", label: "Name", value: (row) => row.value.name ?? row.value.desc ?? "", filter: true },
];

export const KINDS = {
  "stream-routes": apisix("stream_routes", {
    one: "stream route",
    title: "Stream routes",
    lead: "APISIX's stream routes: which connections of the shared listeners go where. The most specific one wins.",
    columns: [
      ...named,
      { key: "match", label: "Matches", filter: true, value: ({ value }) => [value.server_addr, value.server_port && `port ${value.server_port}`, value.sni && `SNI ${value.sni}`, value.remote_addr && `from ${value.remote_addr}`].filter(Boolean).join(", ") || "everything" },
      { key: "to", label: "Leads to", value: (row) => leads(row.value), filter: true },
      { key: "plugins", label: "Plugins", value: (row) => plugins(row.value) },
    ],
    template: { server_port: 9100, sni: "*.example.com", upstream: { type: "roundrobin", nodes: { "127.0.0.1:5432": 1 } } },
    next: "Routes hold for the listeners that stream_proxy opens in the configuration file, or that the page Listeners opened.",
  }),
  upstreams: apisix("upstreams", {
    one: "upstream",
    title: "Upstreams",
    columns: named,
    template: { name: "databases", type: "roundrobin", nodes: [{ host: "127.0.0.1", port: 5432, weight: 1 }], checks: { active: { type: "tcp", healthy: { interval: 2, successes: 2 }, unhealthy: { interval: 2, tcp_failures: 2 } } } },
  }),
  services: apisix("services", {
    one: "service",
    title: "Services",
    lead: "What several stream routes have in common: an upstream, plugins.",
    columns: [...named, { key: "to", label: "Leads to", value: (row) => leads(row.value), filter: true }, { key: "plugins", label: "Plugins", value: (row) => plugins(row.value) }],
    template: { name: "databases", upstream: { type: "roundrobin", nodes: { "127.0.0.1:5432": 1 } } },
    next: "A stream route uses one by its service_id.",
  }),
  ssls: apisix("ssls", {
    one: "SSL object",
    title: "SSL objects",
    lead: "Certificates as APISIX keeps them, for the names they list. Private keys are sealed when they are stored, and never shown.",
    columns: [
      { key: "id", label: "Id", value: (row) => row.id, filter: true, code: true },
      { key: "names", label: "Names", value: ({ value }) => (value.snis ?? [value.sni]).filter(Boolean).join(", "), filter: true },
      { key: "type", label: "Type", value: ({ value }) => value.type ?? "server" },
      { key: "client", label: "Client certificates", value: ({ value }) => (value.client?.ca ? "demanded" : "") },
    ],
    template: { snis: ["www.example.com"], cert: "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n", key: "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n" },
    next: "Certificates can come from a directory of files as well: tls.certificates in the configuration file.",
    keyless: "The private key is not shown. Give cert and key again to replace them; an object cannot be saved without its key.",
  }),
  listeners: {
    one: "listener",
    title: "Listeners",
    lead: "What is opened for the stream routes while the proxy runs. TCP services and the configuration file have their own.",
    columns: [
      { key: "id", label: "Id", value: (row) => row.id, filter: true, code: true },
      { key: "addresses", label: "Listens on", filter: true, value: (row) => row.status.map((each) => each.address).join(", ") || String(row.value.addr) },
      { key: "state", label: "State", value: (row) => (row.status.length ? [...new Set(row.status.map((each) => each.state))].join(", ") : "not yet") },
      { key: "sessions", label: "Open sessions", align: "end", value: (row) => row.status.reduce((sum, each) => sum + each.sessions, 0) },
      { key: "origin", label: "From", value: (row) => row.origin ?? "the API" },
    ],
    path: (id) => `${V1}listeners/${encodeURIComponent(id)}`,
    create: () => ["POST", `${V1}listeners`],
    async list() {
      const found = await get(`${V1}listeners`);
      return found.configured.map((each) => ({ id: each.id, value: each.listener, status: each.status, origin: each.origin }));
    },
    async read(id) {
      const { value, tag } = await getTagged(`${V1}listeners/${encodeURIComponent(id)}`);
      return { value: value.listener, tag, origin: value.origin };
    },
    schema: async () => LISTENER,
    template: { id: "databases", addr: "127.0.0.1:9100" },
    none: "No listener was opened here yet.",
    next: "Open one, and a stream route says where its connections go. What listens for other reasons is shown on the overview.",
  },
};

const FLAG = { type: "boolean", default: false };
const LISTENER = {
  required: ["addr"],
  properties: {
    id: { type: "string", description: "Made up if it is left out." },
    addr: { type: "string or integer", description: 'Where to listen: a port, "host:port", or a range "2000-2010".' },
    transport: { type: "string", enum: ["tcp", "udp"], default: "tcp" },
    tls: { ...FLAG, description: "TLS ends here, with one of the certificates that are served." },
    tls_passthrough: { ...FLAG, description: "TLS is not opened, but the name in its handshake is read." },
    proxy_protocol: { ...FLAG, description: "Clients come through something that names them in a PROXY protocol header." },
    proxy_protocol_to_upstream: { type: "boolean or integer", default: false, description: "Targets are told of the client in a header of this version." },
    access: { type: "object", description: "Which clients get in." },
    limits: { type: "object", description: "How much at once." },
    name: { type: "string" },
    labels: { type: "object", description: "Names and values, for people." },
  },
};
