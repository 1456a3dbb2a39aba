# Configuration of Mailroot, made by "mailroot import" from adsutil ENUM (enum-console.txt).
#
# A line that begins with "#" and a blank explains what follows: the property of the old service,
# and what is other. A setting that begins with "#" is not set. What is left out has the default of
# Mailroot; "mailroot config show" tells all.

version = 1
data_directory = "/srv/mailroot"

# /LM/SmtpSvc/1.
virtual_server "default" {
  # ServerComment = First
  description = "First"

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
    # MaxRecipients = 100
    max_recipients = 100
  }

  delivery {
    # SmartHost = [192.0.2.25]
    smart_host = ["[192.0.2.25]"]
    # SmartHostType = 2
    direct_first = false
    # HopCount = 15
    max_hops = 15
    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
    reverse_dns = false

    remote {
      # SmtpRemoteDelayExpireMinutes is absent; the default of the original is 60.
      delay_notice_after = "1h"
      # SmtpRemoteNDRExpireMinutes is absent; the default of the original is 2880.
      expire_after = "2d"
      # SmtpRemoteProgressiveRetry = 15,30,60,240
      retry_intervals = ["15m", "30m", "1h", "4h"]
      # So many that expire_after ends the attempts.
      max_retries = 48
    }

    local {
      # SmtpLocalDelayExpireMinutes is absent; the default of the original is 720.
      delay_notice_after = "12h"
      # SmtpLocalNDRExpireMinutes is absent; the default of the original is 2880.
      expire_after = "2d"
      # LocalRetryInterval is absent; the default of the original is 60.
      retry_intervals = ["1h"]
      # So many that expire_after ends the attempts.
      max_retries = 62
    }
  }

  domain "partner.example" {
    # RouteAction = 4098
    kind = "remote"
    # RouteActionString = [192.0.2.7]
    route = ["[192.0.2.7]"]
    # The bit DOMAIN_RELAY: anybody may send mail for it.
    allow_relay = true
  }

  domain "alias.example" {
    # RouteAction = 16
    kind = "alias"
  }

  access {
    # AuthFlags is absent; the original's set-up allows anonymous alone.
    authentication = ["anonymous"]

    connection_control {
      # IPSecurity is absent.
      mode = "all_except"
    }

    relay {
      # RelayIpList is absent.
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

# /LM/SmtpSvc/2.
# More than the virtual server "default" is not available in this version.
#virtual_server "server2" {
#  # ServerComment = Second
#  description = "Second"
#
#  # ServerBindings = :2525:
#  binding "*:2525" {
#  }
#
#  connections {
#    # MaxConnections is absent; the default of the original is 2000000000.
#    inbound_limit = "unlimited"
#    # ConnectionTimeout is absent; the default of the original is 600.
#    inbound_timeout = "10m"
#    # MaxOutConnections is absent; the default of the original is 0.
#    outbound_limit = "unlimited"
#    # MaxOutConnectionsPerDomain is absent; the default of the original is 0.
#    outbound_per_domain = "unlimited"
#    # RemoteSmtpPort is absent; the default of the original is 25.
#    outbound_port = 25
#  }
#
#  messages {
#    # MaxMessageSize = 2097152
#    max_size = "2MB"
#    # MaxSessionSize is absent; the default of the original is 268435456.
#    max_session_size = "256MB"
#    # The service of Windows 2000 and later refuses what is larger than max_size.
#    strict_size = true
#    # It counts over all messages of a connection.
#    session_size_counts = "connection"
#    # MaxBatchedMessages is absent; the default of the original is 0.
#    max_per_connection = "unlimited"
#    # MaxRecipients = 100
#    max_recipients = 100
#  }
#
#  delivery {
#    # HopCount = 20
#    max_hops = 20
#    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
#    reverse_dns = false
#
#    remote {
#      # SmtpRemoteDelayExpireMinutes is absent; the default of the original is 60.
#      delay_notice_after = "1h"
#      # SmtpRemoteNDRExpireMinutes is absent; the default of the original is 2880.
#      expire_after = "2d"
#      # SmtpRemoteProgressiveRetry = 15,30,60,240
#      retry_intervals = ["15m", "30m", "1h", "4h"]
#      # So many that expire_after ends the attempts.
#      max_retries = 48
#    }
#
#    local {
#      # SmtpLocalDelayExpireMinutes is absent; the default of the original is 720.
#      delay_notice_after = "12h"
#      # SmtpLocalNDRExpireMinutes is absent; the default of the original is 2880.
#      expire_after = "2d"
#      # LocalRetryInterval is absent; the default of the original is 60.
#      retry_intervals = ["1h"]
#      # So many that expire_after ends the attempts.
#      max_retries = 62
#    }
#  }
#
#  access {
#    # AuthFlags is absent; the original's set-up allows anonymous alone.
#    authentication = ["anonymous"]
#
#    connection_control {
#      # IPSecurity is absent.
#      mode = "all_except"
#    }
#
#    relay {
#      # RelayIpList is absent.
#      # Nobody may relay.
#      mode = "only"
#      list = []
#      # RelayForAuth is absent; the default of the original is 0.
#      # Not in this version: it needs authentication of clients.
#      #authenticated = false
#    }
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}
