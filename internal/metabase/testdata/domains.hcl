# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (domains.xml).
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
    # MaxBatchedMessages = 20
    max_per_connection = 20
    # MaxRecipients = 100
    max_recipients = 100
  }

  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/default/Pickup
  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/default/Queue
  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/default/Drop
  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/default/Badmail
  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/default/Logs
  folders {
  }

  delivery {
    # SmartHost = smtp.provider.example
    smart_host = ["smtp.provider.example"]
    # SmartHostType = 2
    direct_first = false
    # HopCount = 15
    max_hops = 15
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
  }

  # DefaultDomain = corp.example
  domain "corp.example" {
    kind = "default"
  }

  domain "old.example" {
    # RouteAction = 16
    kind = "alias"
  }

  domain "shop.example" {
    # RouteAction = 1
    kind = "alias"
  }

  domain "partner.example" {
    # RouteAction = 4098
    kind = "remote"
    # RouteActionString = [192.0.2.7]
    route = ["[192.0.2.7]"]
    # The bit DOMAIN_RELAY: anybody may send mail for it.
    allow_relay = true
  }

  domain "*.example.net" {
    # RouteAction = 2
    kind = "remote"
    # RouteActionString = [192.0.2.8]
    route = ["[192.0.2.8]"]
  }

  # *.example.net does not cover example.net itself. Where it is to hold for it too, take the #
  # away.
  # Not an entry of the old server.
  #domain "example.net" {
  #  kind = "remote"
  #  route = ["[192.0.2.8]"]
  #}

  domain "legacy.example" {
    # RouteAction = 4194306
    kind = "remote"
    # RouteActionString = legacy.example
    route = ["legacy.example"]
    send_helo = true
  }

  domain "secure.example" {
    # RouteAction = 268
    kind = "remote"
    # RouteActionString = ignored.example
    # The bit SMARTHOST is not set, so that the old service did not use it.
    #route = ["ignored.example"]
    tls = "required"

    # Not in this version: it needs authentication to next hops.
    #outbound_security {
    #  # RouteAction = 268
    #  auth = "basic"
    #  # RouteUserName = relay
    #  user = "relay"
    #  # RoutePassword is encrypted for the old machine and cannot be read elsewhere; enter it again.
    #  password = "…"
    #}
  }

  domain "branch.example" {
    # RouteAction = 514
    kind = "remote"
    # RouteActionString = branch.example
    route = ["branch.example"]
    # The bit ETRN_CMD: mail waits until it is fetched.
    # Not in this version: it needs ETRN and ATRN.
    #etrn = true
    # AuthTurnList = branch branch2
    # Not in this version: it needs ETRN and ATRN.
    #etrn_accounts = ["branch", "branch2"]
  }

  # Is not a host or domain name: two dots in a row, or one at the start.
  #domain "bad..name" {
  #  # RouteAction = 2
  #  kind = "remote"
  #  # RouteActionString = [192.0.2.9]
  #  route = ["[192.0.2.9]"]
  #}

  domain "plain.example" {
    # RouteAction is absent; the default of the original is 0.
    kind = "remote"
  }

  domain "flags.example" {
    # RouteAction = 2147615746
    kind = "remote"
    # RouteActionString = mx.flags.example; mx2.flags.example
    route = ["mx.flags.example", "mx2.flags.example"]
  }

  access {
    # AuthFlags = AuthAnonymous
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
      # RelayForAuth = 4294967295
      # Not in this version: it needs authentication of clients.
      #authenticated = true
    }
  }

  logging {
    # LogType = 0
    enabled = false
    # LogPluginClsid = {FF160663-DE82-11CF-BC0A-00AA006111E0}
    format = "w3c"
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
