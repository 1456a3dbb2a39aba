# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (names.xml).
#
# A line that begins with "#" and a blank explains what follows: the property of the old service,
# and what is other. A setting that begins with "#" is not set. What is left out has the default of
# Mailroot; "mailroot config show" tells all.

version = 1
data_directory = "/srv/mailroot"

# /LM/SmtpSvc/1.
virtual_server "default" {
  # FullyQualifiedDomainName = SRV01.corp.example.
  fqdn = "SRV01.corp.example"

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
    # MaxSessionSize = 10485760
    max_session_size = "10MB"
    # The service of Windows 2000 and later refuses what is larger than max_size.
    strict_size = true
    # It counts over all messages of a connection.
    session_size_counts = "connection"
    # MaxBatchedMessages is absent; the default of the original is 0.
    max_per_connection = "unlimited"
    # MaxRecipients is absent; the default of the original is 100.
    max_recipients = 100
  }

  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/default/Drop
  folders {
  }

  delivery {
    # SmartHost = [smtp.isp.example.]
    smart_host = ["smtp.isp.example"]
    # SmartHostType = 2
    direct_first = false
    # HopCount is absent; the default of the original is 10.
    max_hops = 10
    # MasqueradeDomain = corp.example
    # DoMasquerade is FALSE, so that the old service did not use it.
    #masquerade_domain = "corp.example"
    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
    reverse_dns = false

    remote {
      # SmtpRemoteDelayExpireMinutes is absent; the default of the original is 60.
      delay_notice_after = "1h"
      # SmtpRemoteNDRExpireMinutes is absent; the default of the original is 2880.
      expire_after = "2d"
      # SmtpRemoteProgressiveRetry is absent; the default of the original is 15,30,60,240.
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

  # FullyQualifiedDomainName = SRV01.corp.example.
  # There is no DefaultDomain, so that the default domain was the name of the server.
  domain "srv01.corp.example" {
    kind = "default"
  }

  domain "other.example" {
    # RouteAction = 1
    kind = "alias"
  }

  domain "near.example" {
    # RouteAction = 1
    kind = "alias"
  }

  domain "partner.example" {
    # RouteAction = 2
    kind = "remote"
    # RouteActionString = mx.partner.example.:2525
    route = ["mx.partner.example:2525"]
  }

  domain "odd.example" {
    # RouteAction = 2
    kind = "remote"
    # RouteActionString = (secret)@mx.odd.example
    # Is not a host or domain name: '(' cannot stand in it; a host is written host, host:port, ip,
    # [ip] or [ip]:port.
    #route = ["(secret)@mx.odd.example"]
  }

  access {
    # AuthFlags is absent; the original's set-up allows anonymous alone.
    authentication = ["anonymous"]

    connection_control {
      # IPSecurity is absent.
      mode = "all_except"
    }

    relay {
      # RelayIpList cannot be read for certain (it keeps out domain names (1), of which 0 are
      # found), so that nobody may relay.
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
