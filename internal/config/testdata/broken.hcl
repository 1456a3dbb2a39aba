# A file with one of each mistake.
version = 2
data_directory = "C:/Mail"
data_directory = "D:/Mail"
console { address = "127.0.0.1:8025" }
dns {
  servers = ["ns.example.com", "192.0.2.53"]
  timeout = 5
}
conections {
}
inbound_limit = 5
virtual_server "default" {
  descripton = "typo"
  fqdn = "relay.example.com."
  binding "0.0.0.0:25" { tls = "implict" }
  binding "localhost:25" {}
  binding {}
  binding "192.0.2.1:25" {
    profile        = internet
    proxy_protocol = ["192.0.2.9"]
  }
  connections {
    inbound_limit    = "many"
    inbound_timeout  = "10 minutes"
    outbound_limit   = -1
    outbound_port    = 1e400
    outbound_timeout = "unlimited"
    outbound_per_domain = foo(1)
    binding "x" {}
  }
  connections {
  }
  messages {
    max_size         = "10 mb"
    max_session_size = null
    strict_size      = "yes"
    max_recipients   = "none"
    ndr_copy_to      = 7
  }
  delivery {
    smart_host  = "smtp.example.com:587"
    direct_first = !true
    max_hops    = 1 + 1
    hop_reply   = "${x}"
    local {
      retry_intervals = []
    }
    remote {
      retry_intervals = ["5m", 15, "soon", ["1m"]]
      delay_notice_after = "12h"
    }
    outbound_security {
      auth     = "basic"
      password = "secret word"
    }
  }
  domain "example.org" {}
  domain "example.org" { kind = "alias" }
  domain "*x.test" { kind = "remote" }
  domain "user@example.net" { kind = "remote" }
  access = {}
  access "x" {
  }
  access {
    authentication = ["anonymous", "basic", "ntlm"]
    relay {
      mode = "all_execpt"
      list = ["10.0.0.5/8", "example.com", "192.0.2.0/33", 5, "x y"]
    }
  }
  logging {
    format   = "json"
    rollover = "dayly"
  }
  tracking { keep = "30d" }
  protocol {
    banner     = "two\nlines"
    postmaster = "postmaster"
    voice      = { a = "plain" }
  }
}
virtual_server "second" {
}
