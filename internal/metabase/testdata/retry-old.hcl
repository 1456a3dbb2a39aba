# Configuration of Mailroot, made by "mailroot import" from adsutil ENUM (retry-old.txt).
#
# A line that begins with "#" and a blank explains what follows: the property of the old service,
# and what is other. A setting that begins with "#" is not set. What is left out has the default of
# Mailroot; "mailroot config show" tells all.

version = 1
data_directory = "/srv/mailroot"

# /LM/SmtpSvc/1.
virtual_server "default" {
  # ServerComment = Default SMTP Site
  description = "Default SMTP Site"

  # ServerBindings = :25:
  binding "*:25" {
  }

  # ServerBindings = 192.0.2.5:2525:
  binding "192.0.2.5:2525" {
  }

  connections {
    # MaxConnections = 1000
    inbound_limit = 1000
    # ConnectionTimeout is absent; the default of the original is 600.
    inbound_timeout = "10m"
    # MaxOutConnections = 500
    # LimitRemoteConnections is absent; the default of the original is FALSE: MaxOutConnections was
    # no limit.
    outbound_limit = "unlimited"
    # MaxOutConnectionsPerDomain is absent; the default of the original is 0.
    outbound_per_domain = "unlimited"
    # RemoteSmtpPort is absent; the default of the original is 25.
    outbound_port = 25
  }

  messages {
    # MaxMessageSize = 2097152
    max_size = "2MB"
    # MaxSessionSize = 10485760
    max_session_size = "10MB"
    # MaxBatchedMessages is absent; the default of the original is 0.
    max_per_connection = "unlimited"
    # MaxRecipients is absent; the default of the original is 100.
    max_recipients = 100
  }

  delivery {
    # HopCount is absent; the default of the original is 10.
    max_hops = 10
    # EnableReverseDnsLookup = True
    reverse_dns = true

    remote {
      # RemoteRetryInterval = 30
      retry_intervals = ["30m"]
      # RemoteRetryAttempts = 24
      max_retries = 24
      # The service of IIS 4 sends no notice of delay, and does not return messages by their age.
      delay_notice_after = "off"
      expire_after = "off"
    }

    local {
      # LocalRetryInterval = 60
      retry_intervals = ["1h"]
      # LocalRetryAttempts = 48
      max_retries = 48
      # The service of IIS 4 sends no notice of delay, and does not return messages by their age.
      delay_notice_after = "off"
      expire_after = "off"
    }
  }

  # DefaultDomain = corp.example
  domain "corp.example" {
    kind = "default"
  }

  domain "alias.example" {
    # RouteAction = 16
    kind = "alias"
  }

  access {
    # AuthAnonymous = True
    authentication = ["anonymous"]

    connection_control {
      # IPDeny = 192.0.2.66, 255.255.255.255
      mode = "all_except"
      list = ["192.0.2.66"]
    }

    relay {
      # RelayIpList = (84 octets)
      mode = "only"
      list = ["127.0.0.1"]
      # RelayForAuth is absent; the default of the original is 0.
      # Not in this version: it needs authentication of clients.
      #authenticated = false
    }
  }

  pickup {
    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
    dot_stuffed = true
  }
}
