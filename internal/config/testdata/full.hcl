# Everything that this version can do.
version        = 1
data_directory = "/srv/mailroot"
memory_limit   = "3GB"

dns {
  servers = ["192.0.2.53", "[2001:db8::53]:5353"]
  timeout = "3s"
}

control {
  socket = "/run/mailroot/control.sock"
  group  = "mailadmin"
}

virtual_server "default" {
  description = "Relay of the main office"
  fqdn        = "relay.example.com"

  binding "192.0.2.1:25" {
    tls     = "starttls"
    profile = "internet"
  }
  binding "[2001:db8::1]:465" { tls = "implicit" }
  binding "127.0.0.1:2525" { tls = "starttls" }

  connections {
    inbound_limit       = "unlimited"
    inbound_timeout     = "90s"
    inbound_per_address = 15
    inbound_per_network = 40
    outbound_limit      = 200
    outbound_timeout    = "5m"
    outbound_per_domain = 20
    outbound_port       = 2525
  }
  messages {
    max_size            = "10MB"
    max_session_size    = "20MB"
    strict_size         = true
    session_size_counts = "connection"
    max_per_connection  = 0
    max_recipients      = 500
    ndr_original_size   = 0
    ndr_copy_to         = "reports@example.com"
  }
  folders {
    pickup  = "/srv/mail/Pickup"
    queue   = "/srv/fast/Queue"
    drop    = "/srv/mail/Drop"
    badmail = "bad"
    logs    = "/var/log/mailroot"
  }
  queue {
    min_free_space = "2GB"
    min_free_files = "off"
    memory         = "64MB"
  }
  delivery {
    smart_host = [
      "smtp.example.com:587", # the provider
      "[192.0.2.7]",
      "192.0.2.8:2525",
      "2001:db8::7",
    ]
    direct_first        = true
    max_hops            = 30
    hop_reply           = "reject"
    reverse_dns         = true
    reverse_dns_timeout = "2s"
    complete_header     = false
    masquerade_domain   = "Example.com"
    local {
      max_retries     = 3
      retry_intervals = ["10s"]
      delay_notice_after = "4h"
      expire_after    = "1d"
    }
    remote {
      max_retries     = 100
      retry_intervals = ["1m", "1m", "1d12h"]
      delay_notice_after = "off"
      expire_after    = "off"
    }
    outbound_security {
      auth = "none"
      tls  = "required"
    }
  }
  domain "Example.COM" { kind = "default" }
  domain "example.org" {
    kind         = "alias"
    stamp_header = true
  }
  domain "*.partner.test" {
    kind            = "remote"
    route           = ["mx.partner.test", "[192.0.2.9]:2525"]
    allow_relay     = true
    send_helo       = true
    tls             = "off"
    max_connections = 2
  }
  domain "partner.test" { kind = "remote" }
  access {
    authentication = ["anonymous"]
    certificate    = "/etc/mailroot/relay.pem"
    private_key    = "/etc/mailroot/relay.key"
    require_tls    = true
    connection_control {
      mode = "all_except"
      list = ["198.51.100.0/24", "2001:db8:bad::/48"]
    }
    relay {
      mode = "only"
      list = ["192.0.2.0/255.255.255.0", "10.0.0.0, 255.0.0.0", "203.0.113.9", "::ffff:203.0.113.10"]
    }
  }
  logging {
    enabled  = false
    format   = "w3c"
    rollover = "daily"
  }
  protocol {
    voice             = "plain"
    banner            = "ESMTP ready"
    postmaster        = "mailadmin@example.com"
    block_private_mx  = true
    allow_loopback_mx = true
    min_data_rate     = "off"
    min_data_grace    = "1m"
  }
  badmail {
    max_age       = "90d"
    max_size      = "10GB"
    warn_messages = "off"
    warn_size     = "2GB"
  }
  drop {
    quota      = "22MB"
    recipients = ["Sales", "info@EXAMPLE.org"]
  }
  pickup {
    dot_stuffed = false
  }
}
