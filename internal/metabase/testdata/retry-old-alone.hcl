# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (retry-old-alone.xml).
#
# A line that begins with "#" and a blank explains what follows: the property of the old service,
# and what is other. A setting that begins with "#" is not set. What is left out has the default of
# Mailroot; "mailroot config show" tells all.

version = 1
data_directory = "/srv/mailroot"

# /LM/SmtpSvc/1.
virtual_server "default" {
  # ServerBindings = :25:
  binding "*:25" {
  }

  connections {
    # MaxConnections is absent; the default of the original is 2000000000.
    inbound_limit = "unlimited"
    # ConnectionTimeout is absent; the default of the original is 600.
    inbound_timeout = "10m"
    # MaxOutConnections is absent; the default of the original is 0.
    outbound_limit = "unlimited"
    # MaxOutConnectionsPerDomain is absent; the default of the original is 0.
    outbound_per_domain = "unlimited"
    # RemoteSmtpPort is absent; the default of the original is 25.
    outbound_port = 25
  }

  messages {
    # MaxMessageSize = 2097152
    max_size = "2MB"
    # MaxSessionSize is absent; the default of the original is 268435456.
    max_session_size = "256MB"
    # The service of Windows 2000 and later refuses what is larger than max_size.
    strict_size = true
    # It counts over all messages of a connection.
    session_size_counts = "connection"
    # MaxBatchedMessages is absent; the default of the original is 0.
    max_per_connection = "unlimited"
    # MaxRecipients is absent; the default of the original is 100.
    max_recipients = 100
  }

  delivery {
    # HopCount is absent; the default of the original is 10.
    max_hops = 10
    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
    reverse_dns = false

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
      # LocalRetryInterval is absent; the default of the original is 60.
      retry_intervals = ["1h"]
      # LocalRetryAttempts is absent; the default of the original is 48.
      max_retries = 48
      # The service of IIS 4 sends no notice of delay, and does not return messages by their age.
      delay_notice_after = "off"
      expire_after = "off"
    }
  }

  access {
    # AuthFlags is absent; the original's set-up allows anonymous alone.
    authentication = ["anonymous"]

    connection_control {
      # IPSecurity is absent.
      mode = "all_except"
    }

    relay {
      # RelayIpList is empty.
      # Nobody may relay.
      mode = "only"
      list = []
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
