# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (logs.xml).
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

  # ServerBindings = :26:
  binding "*:26" {
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
    # LogType = 1
    enabled = true
    # LogPluginClsid = {ff160657-de82-11cf-bc0a-00aa006111e0}
    # Not in this version: "iis".
    #format = "iis"
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
    # LogFilePeriod = 3
    # Not in this version: "monthly".
    #rollover = "monthly"
    # LogFileLocaltimeRollover = 1
    # Not in this version: it needs further log formats, fields and rollover.
    #local_time = true
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
#  # ServerBindings = :27:
#  binding "*:27" {
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
#    # LogType = 1
#    enabled = true
#    # LogPluginClsid = {FF16065F-DE82-11CF-BC0A-00AA006111E0}
#    # Not in this version: "ncsa".
#    #format = "ncsa"
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
#    # LogFilePeriod = 0
#    # Not in this version: "never".
#    #rollover = "never"
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
#  # ServerBindings = :28:
#  binding "*:28" {
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
#    # LogType = 1
#    enabled = true
#    # LogPluginClsid = {FF16065B-DE82-11CF-BC0A-00AA006111E0}
#    # Not in this version: "odbc".
#    #format = "odbc"
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
#
#    # Not in this version: it needs further log formats, fields and rollover.
#    #odbc {
#    #  # LogOdbcDataSource = MAILLOG
#    #  dsn = "MAILLOG"
#    #  # LogOdbcTableName = Smtp
#    #  table = "Smtp"
#    #  # LogOdbcUserName = logger
#    #  user = "logger"
#    #  # LogOdbcPassword is encrypted for the old machine and cannot be read elsewhere; enter it again.
#    #  password = "…"
#    #}
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}

# /LM/SmtpSvc/4.
# More than the virtual server "default" is not available in this version.
#virtual_server "server4" {
#  # ServerComment = SMTP Virtual Server #4
#  description = "SMTP Virtual Server #4"
#  # FullyQualifiedDomainName = web01.corp.example
#  fqdn = "web01.corp.example"
#
#  # ServerBindings = :29:
#  binding "*:29" {
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
#  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/server4/Pickup
#  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/server4/Queue
#  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/server4/Drop
#  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/server4/Badmail
#  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/server4/Logs
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
#    # LogType = 1
#    enabled = true
#    # LogPluginClsid = {FF160663-DE82-11CF-BC0A-00AA006111E0}
#    format = "w3c"
#    # LogExtFileFlags = 4194303
#    # Not in this version: it needs further log formats, fields and rollover.
#    #fields = ["all"]
#    # LogFilePeriod = 0
#    # Not in this version: "size".
#    #rollover = "size"
#    # LogFileTruncateSize = 1048576
#    # Not in this version: it needs further log formats, fields and rollover.
#    #rollover_size = "1MB"
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}

# /LM/SmtpSvc/5.
# More than the virtual server "default" is not available in this version.
#virtual_server "server5" {
#  # ServerComment = SMTP Virtual Server #5
#  description = "SMTP Virtual Server #5"
#  # FullyQualifiedDomainName = web01.corp.example
#  fqdn = "web01.corp.example"
#
#  # ServerBindings = :30:
#  binding "*:30" {
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
#  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/server5/Pickup
#  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/server5/Queue
#  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/server5/Drop
#  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/server5/Badmail
#  # LogFileDirectory = %SystemRoot%\System32\LogFiles: here /srv/mailroot/server5/Logs
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
#    # LogType = 1
#    enabled = true
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
#  }
#
#  pickup {
#    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
#    dot_stuffed = true
#  }
#}
