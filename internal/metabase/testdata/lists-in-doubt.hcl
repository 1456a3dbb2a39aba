# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (lists-in-doubt.xml).
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

  # DefaultDomain = web01.corp.example
  domain "web01.corp.example" {
    kind = "default"
  }

  access {
    # AuthFlags = AuthAnonymous
    authentication = ["anonymous"]

    connection_control {
      # IPSecurity cannot be read for certain (domain names are kept out (spam.example), which is
      # not in this version), so that nobody is let in.
      mode = "only"
      list = []
    }

    relay {
      # RelayIpList = (99 octets)
      mode = "only"
      # Not taken: domain names on a list are not in this version: *.corp.example.
      list = ["192.0.2.7"]
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
#    # MaxConnections = 2000000000
#    inbound_limit = "unlimited"
#    # ConnectionTimeout = 600
#    inbound_timeout = "10m"
#    # MaxOutConnections = 1000
#    # LimitRemoteConnections is absent; the default of the original is FALSE: MaxOutConnections was
#    # no limit.
#    outbound_limit = "unlimited"
#    # MaxOutConnectionsPerDomain = 100
#    outbound_per_domain = 100
#    # RemoteTimeout = 600
#    outbound_timeout = "10m"
#    # RemoteSmtpPort is absent; the default of the original is 25.
#    outbound_port = 25
#  }
#
#  messages {
#    # MaxMessageSize = 2097152
#    max_size = "2MB"
#    # MaxSessionSize = 10485760
#    max_session_size = "10MB"
#    # The service of Windows 2000 and later refuses what is larger than max_size.
#    strict_size = true
#    # It counts over all messages of a connection.
#    session_size_counts = "connection"
#    # MaxBatchedMessages = 20
#    max_per_connection = 20
#    # MaxRecipients = 100
#    max_recipients = 100
#  }
#
#  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/server2/Pickup
#  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/server2/Queue
#  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/server2/Drop
#  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/server2/Badmail
#  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/server2/Logs
#  folders {
#  }
#
#  delivery {
#    # HopCount = 15
#    max_hops = 15
#    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
#    reverse_dns = false
#
#    remote {
#      # SmtpRemoteDelayExpireMinutes = 720
#      delay_notice_after = "12h"
#      # SmtpRemoteNDRExpireMinutes = 2880
#      expire_after = "2d"
#      # SmtpRemoteProgressiveRetry = 15,30,60,240
#      retry_intervals = ["15m", "30m", "1h", "4h"]
#      # So many that expire_after ends the attempts.
#      max_retries = 48
#    }
#
#    local {
#      # SmtpLocalDelayExpireMinutes = 720
#      delay_notice_after = "12h"
#      # SmtpLocalNDRExpireMinutes = 2880
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
#      # IPSecurity cannot be read for certain (it is not hexadecimal), so that nobody may connect.
#      mode = "only"
#      list = []
#    }
#
#    relay {
#      # RelayIpList cannot be read for certain (an offset at octet 56 leads nowhere (76)), so that
#      # nobody may relay.
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
#    # LogExtFileFlags = LogExtFileTime | LogExtFileClientIp | LogExtFileMethod | LogExtFileUriStem |
#    # LogExtFileHttpStatus
#    # Not in this version: it needs further log formats, fields and rollover.
#    #fields = [
#    #  "time",
#    #  "c-ip",
#    #  "cs-method",
#    #  "cs-uri-stem",
#    #  "sc-status",
#    #]
#    # LogFilePeriod = 1
#    rollover = "daily"
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}

# /LM/SmtpSvc/3.
# More than the virtual server "default" is not available in this version.
#virtual_server "server3" {
#  # ServerComment = SMTP Virtual Server #3
#  description = "SMTP Virtual Server #3"
#  # FullyQualifiedDomainName = web01.corp.example
#  fqdn = "web01.corp.example"
#
#  # ServerBindings = :2526:
#  binding "*:2526" {
#  }
#
#  connections {
#    # MaxConnections = 2000000000
#    inbound_limit = "unlimited"
#    # ConnectionTimeout = 600
#    inbound_timeout = "10m"
#    # MaxOutConnections = 1000
#    # LimitRemoteConnections is absent; the default of the original is FALSE: MaxOutConnections was
#    # no limit.
#    outbound_limit = "unlimited"
#    # MaxOutConnectionsPerDomain = 100
#    outbound_per_domain = 100
#    # RemoteTimeout = 600
#    outbound_timeout = "10m"
#    # RemoteSmtpPort is absent; the default of the original is 25.
#    outbound_port = 25
#  }
#
#  messages {
#    # MaxMessageSize = 2097152
#    max_size = "2MB"
#    # MaxSessionSize = 10485760
#    max_session_size = "10MB"
#    # The service of Windows 2000 and later refuses what is larger than max_size.
#    strict_size = true
#    # It counts over all messages of a connection.
#    session_size_counts = "connection"
#    # MaxBatchedMessages = 20
#    max_per_connection = 20
#    # MaxRecipients = 100
#    max_recipients = 100
#  }
#
#  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/server3/Pickup
#  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/server3/Queue
#  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/server3/Drop
#  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/server3/Badmail
#  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/server3/Logs
#  folders {
#  }
#
#  delivery {
#    # HopCount = 15
#    max_hops = 15
#    # EnableReverseDnsLookup is absent; the default of the original is FALSE.
#    reverse_dns = false
#
#    remote {
#      # SmtpRemoteDelayExpireMinutes = 720
#      delay_notice_after = "12h"
#      # SmtpRemoteNDRExpireMinutes = 2880
#      expire_after = "2d"
#      # SmtpRemoteProgressiveRetry = 15,30,60,240
#      retry_intervals = ["15m", "30m", "1h", "4h"]
#      # So many that expire_after ends the attempts.
#      max_retries = 48
#    }
#
#    local {
#      # SmtpLocalDelayExpireMinutes = 720
#      delay_notice_after = "12h"
#      # SmtpLocalNDRExpireMinutes = 2880
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
#      # IPSecurity cannot be read for certain (it grants and denies at the same time), so that
#      # nobody may connect.
#      mode = "only"
#      list = []
#    }
#
#    relay {
#      # RelayIpList = (84 octets)
#      mode = "only"
#      # Not taken: left out, as a configuration cannot have it: 10.0.1.0 with the mask 255.0.255.0.
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
#    # LogExtFileFlags = LogExtFileTime | LogExtFileClientIp | LogExtFileMethod | LogExtFileUriStem |
#    # LogExtFileHttpStatus
#    # Not in this version: it needs further log formats, fields and rollover.
#    #fields = [
#    #  "time",
#    #  "c-ip",
#    #  "cs-method",
#    #  "cs-uri-stem",
#    #  "sc-status",
#    #]
#    # LogFilePeriod = 1
#    rollover = "daily"
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}
