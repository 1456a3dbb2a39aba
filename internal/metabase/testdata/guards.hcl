# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (guards.xml).
#
# A line that begins with "#" and a blank explains what follows: the property of the old service,
# and what is other. A setting that begins with "#" is not set. What is left out has the default of
# Mailroot; "mailroot config show" tells all.

version = 1
data_directory = "/srv/mailroot"

# /LM/SmtpSvc/1.
virtual_server "default" {
  # ServerComment = Default SMTP Virtual Server
  description = "Default SMTP Virtual Server"
  # FullyQualifiedDomainName = web01.corp.example
  fqdn = "web01.corp.example"

  # ServerBindings = :25:
  binding "*:25" {
  }

  connections {
    # MaxConnections = 2000000000
    inbound_limit = "unlimited"
    # ConnectionTimeout = 600
    inbound_timeout = "10m"
    # MaxOutConnections = 1000
    # LimitRemoteConnections is absent; the default of the original is FALSE: MaxOutConnections was
    # no limit.
    outbound_limit = "unlimited"
    # MaxOutConnectionsPerDomain = 100
    outbound_per_domain = 100
    # RemoteTimeout = 600
    outbound_timeout = "10m"
    # RemoteSmtpPort is no port; the default of the original is 25.
    outbound_port = 25
  }

  messages {
    # MaxMessageSize is absent; the default of the original is 33554432.
    max_size = "32MB"
    # MaxSessionSize is absent; the default of the original is 268435456.
    max_session_size = "256MB"
    # The service of Windows 2000 and later refuses what is larger than max_size.
    strict_size = true
    # It counts over all messages of a connection.
    session_size_counts = "connection"
    # MaxBatchedMessages = 20
    max_per_connection = 20
    # MaxRecipients = 100
    max_recipients = 100
  }

  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/default/Logs
  folders {
  }

  delivery {
    # SmartHost = smtp.provider.example
    # SmartHostType is absent, and 0 by default, so that the old service did not use it.
    #smart_host = ["smtp.provider.example"]
    # HopCount = 15
    max_hops = 15
    # MasqueradeDomain = corp.example
    # DoMasquerade is absent; the default of the original is FALSE: the old service did not use it.
    #masquerade_domain = "corp.example"
    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
    reverse_dns = false

    remote {
      # SmtpRemoteDelayExpireMinutes = 720
      delay_notice_after = "12h"
      # SmtpRemoteNDRExpireMinutes = 2880
      expire_after = "2d"
      # SmtpRemoteProgressiveRetry = 15,30,60,240
      retry_intervals = ["15m", "30m", "1h", "4h"]
      # So many that expire_after ends the attempts.
      max_retries = 48
    }

    local {
      # SmtpLocalDelayExpireMinutes = 720
      delay_notice_after = "12h"
      # SmtpLocalNDRExpireMinutes = 2880
      expire_after = "2d"
      # LocalRetryInterval is absent; the default of the original is 60.
      retry_intervals = ["1h"]
      # So many that expire_after ends the attempts.
      max_retries = 62
    }

    outbound_security {
      # AlwaysUseSsl = TRUE
      tls = "required"
    }
  }

  # DefaultDomain = web01.corp.example
  domain "web01.corp.example" {
    kind = "default"
  }

  domain "clear.example" {
    # RouteAction = 2
    kind = "remote"
    # RouteActionString = [192.0.2.7]
    route = ["[192.0.2.7]"]
  }

  domain "misspelt.example" {
    # RouteAction = SMARTHOST | DOMAIN_RELY
    kind = "remote"
    # RouteActionString = [192.0.2.8]
    route = ["[192.0.2.8]"]
  }

  domain "guarded.example" {
    # RouteAction = 4096
    kind = "remote"
  }

  access {
    # AccessSSLFlags = AccessSSL
    # It needs access.certificate and access.private_key.
    #require_tls = true

    connection_control {
      # IPSecurity = (120 octets)
      # Waits, see below.
      #mode = "only"
      # Waits, see below.
      #list = ["127.0.0.1", "192.0.2.7", "10.1.2.0/24", "10.1.3.0/24"]
      # Until then nobody may connect: AuthFlags does not tell who may send mail without
      # authentication; the old server took mail inside TLS alone, which needs access.certificate,
      # access.private_key and access.require_tls.
      mode = "only"
      list = []
    }

    relay {
      # RelayIpList is absent.
      # Nobody may relay.
      mode = "only"
      list = []
      # RelayForAuth = 1
      # Not in this version: it needs authentication of clients.
      #authenticated = false
    }
  }

  logging {
    # LogExtFileFlags = LogExtFileTime | LogExtFileClientIp | LogExtFileMethod | LogExtFileUriStem |
    # LogExtFileHttpStatus
    # Not in this version: it needs further log formats, fields and rollover.
    #fields = [
    #  "time",
    #  "c-ip",
    #  "cs-method",
    #  "cs-uri-stem",
    #  "sc-status",
    #]
    # LogFilePeriod = 1
    rollover = "daily"
  }

  pickup {
    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
    dot_stuffed = true
  }
}
