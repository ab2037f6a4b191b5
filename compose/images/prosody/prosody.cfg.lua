-- What matters for certificates is one line. Its folder holds one folder for each name, as certbot lays them out.
certificates = "certs"

daemonize = false
pidfile = "/run/prosody/prosody.pid"
log = { info = "*console" }
modules_enabled = { "disco", "ping", "roster", "saslauth", "tls" }
authentication = "internal_hashed"
c2s_require_encryption = true
c2s_direct_tls_ports = { 5223 }

VirtualHost "chat.example"
