# Values that are right each for itself.
version = 1
virtual_server "default" {
  fqdn = "relay"
  binding "0.0.0.0:25" { tls = "none" }
  binding "192.0.2.1:25" {}
  binding "[::]:25" {}
  binding "*:587" {}
  binding "[2001:db8::1]:587" {}
  binding "127.0.0.1:0" { tls = "implicit" }
  binding "192.0.2.1:2525" {}
  binding "*:2525" {}
  connections {
    outbound_limit      = 10
    outbound_per_domain = 20
  }
  messages {
    max_size         = "20MB"
    max_session_size = "10MB"
  }
  folders {
    queue = "/srv/mail"
    drop  = "/srv/x/../mail"
    logs  = "/srv/mail/Logs"
    badmail = "/srv"
  }
  delivery {
    direct_first = true
  }
  domain "example.com" { kind = "default" }
  domain "example.net" { kind = "default" }
  domain "*.example.org" { kind = "alias" }
  domain "example.org" {
    kind  = "alias"
    route = ["mx.example.org"]
  }
  domain "bücher.example" { kind = "alias" }
  domain "xn--bcher-kva.example" { kind = "alias" }
  domain "far.test" {
    kind            = "remote"
    max_connections = 50
  }
  access {
    private_key = "key.pem"
    require_tls = true
    relay {
      list = [
        "192.0.2.0/24",
        "0.0.0.0/0",
        "192.0.2.0/24",
        "8000::/1",
        "::/1",
      ]
    }
    connection_control { mode = "only" }
  }
  protocol {
    banner = "ready"
  }
}
