# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (limits.xml).
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
    # MaxConnections = 50
    inbound_limit = 50
    # ConnectionTimeout = 100000
    inbound_timeout = "1d"
    # MaxOutConnections = 10
    # LimitRemoteConnections is absent; the default of the original is FALSE: MaxOutConnections was
    # no limit.
    outbound_limit = "unlimited"
    # MaxOutConnectionsPerDomain = 100
    outbound_per_domain = 100
    # RemoteTimeout = 0x258
    outbound_timeout = "10m"
    # RemoteSmtpPort = 2525
    outbound_port = 2525
  }

  messages {
    # MaxMessageSize = 4294967295
    max_size = "unlimited"
    # MaxSessionSize = 0
    max_session_size = "unlimited"
    # It counts over all messages of a connection.
    session_size_counts = "connection"
    # MaxBatchedMessages = -1
    max_per_connection = "unlimited"
    # MaxRecipients = 0
    max_recipients = "unlimited"
  }

  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/default/Pickup
  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/default/Queue
  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/default/Drop
  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/default/Badmail
  folders {
  }

  delivery {
    # HopCount = 500
    max_hops = 100
    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
    reverse_dns = false

    remote {
      # SmtpRemoteDelayExpireMinutes is absent; the default of the original is 60.
      delay_notice_after = "1h"
      # SmtpRemoteNDRExpireMinutes = 1440
      expire_after = "1d"
      # SmtpRemoteProgressiveRetry = 1, 5, 10
      retry_intervals = ["1m", "5m", "10m"]
      # So many that expire_after ends the attempts.
      max_retries = 184
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

  # DefaultDomain = web01.corp.example
  domain "web01.corp.example" {
    kind = "default"
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
  }

  pickup {
    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
    dot_stuffed = true
  }
}

# /LM/SmtpSvc/2.
# More than the virtual server "default" is not available in this version.
#virtual_server "server2" {
#  # ServerComment = SMTP Virtual Server #2
#  description = "SMTP Virtual Server #2"
#  # FullyQualifiedDomainName = web01.corp.example
#  fqdn = "web01.corp.example"
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
#    # MaxOutConnections = 200
#    # LimitRemoteConnections = FALSE: MaxOutConnections was no limit.
#    outbound_limit = "unlimited"
#    # MaxOutConnectionsPerDomain is absent; the default of the original is 0.
#    outbound_per_domain = "unlimited"
#    # RemoteSmtpPort is absent; the default of the original is 25.
#    outbound_port = 25
#  }
#
#  messages {
#    # MaxMessageSize = 20971520
#    max_size = "20MB"
#    # MaxSessionSize = 10485760
#    # It cannot be below max_size.
#    max_session_size = "20MB"
#    # The service of Windows 2000 and later refuses what is larger than max_size.
#    strict_size = true
#    # It counts over all messages of a connection.
#    session_size_counts = "connection"
#    # MaxBatchedMessages is absent; the default of the original is 0.
#    max_per_connection = "unlimited"
#    # MaxRecipients is absent; the default of the original is 100.
#    max_recipients = 100
#  }
#
#  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/server2/Pickup
#  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/server2/Queue
#  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/server2/Drop
#  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/server2/Badmail
#  folders {
#  }
#
#  delivery {
#    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
#    reverse_dns = false
#
#    remote {
#      # SmtpRemoteDelayExpireMinutes is absent; the default of the original is 60.
#      delay_notice_after = "1h"
#      # SmtpRemoteNDRExpireMinutes = 1440
#      expire_after = "1d"
#      # SmtpRemoteProgressiveRetry = soon
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
#  # DefaultDomain = web01.corp.example
#  domain "web01.corp.example" {
#    kind = "default"
#  }
#
#  access {
#    # AuthFlags = AuthAnonymous
#    authentication = ["anonymous"]
#
#    connection_control {
#      # IPSecurity is absent.
#      mode = "all_except"
#    }
#
#    relay {
#      # RelayIpList is empty.
#      # Nobody may relay.
#      mode = "only"
#      list = []
#      # RelayForAuth = 4294967295
#      # Not in this version: it needs authentication of clients.
#      #authenticated = true
#    }
#  }
#
#  logging {
#    # LogType = 0
#    enabled = false
#    # LogPluginClsid = {FF160663-DE82-11CF-BC0A-00AA006111E0}
#    format = "w3c"
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}
