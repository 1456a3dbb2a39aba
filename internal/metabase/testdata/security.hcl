# Configuration of Mailroot, made by "mailroot import" from MetaBase.xml (security.xml).
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
    # SendNdrTo = postmaster@corp.example
    ndr_copy_to = "postmaster@corp.example"
  }

  # PickupDirectory = C:\inetpub\mailroot\Pickup: here /srv/mailroot/default/Pickup
  # QueueDirectory = C:\inetpub\mailroot\Queue: here /srv/mailroot/default/Queue
  # DropDirectory = C:\inetpub\mailroot\Drop: here /srv/mailroot/default/Drop
  # BadMailDirectory = C:\inetpub\mailroot\Badmail: here /srv/mailroot/default/Badmail
  folders {
  }

  delivery {
    # SmartHost = smtp.office365.example
    smart_host = ["smtp.office365.example"]
    # SmartHostType = 2
    direct_first = false
    # HopCount = 15
    max_hops = 15
    # MasqueradeDomain = corp.example
    masquerade_domain = "corp.example"
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

    outbound_security {
      # AlwaysUseSsl = TRUE
      tls = "required"
      # RouteAction = 268
      # Not in this version: "basic".
      #auth = "basic"
      # RouteUserName = relay@corp.example
      # Not in this version: it needs authentication to next hops.
      #user = "relay@corp.example"
      # RoutePassword is encrypted for the old machine and cannot be read elsewhere; enter it again.
      # Not in this version: it needs authentication to next hops.
      #password = "…"
    }
  }

  # DefaultDomain = web01.corp.example
  domain "web01.corp.example" {
    kind = "default"
  }

  access {
    # AuthFlags = AuthBasic | AuthAnonymous | AuthNTLM
    # Not in this version: "basic", "integrated".
    #authentication = ["anonymous", "basic", "integrated"]
    # DefaultLogonDomain = CORP
    # Not in this version: it needs authentication of clients.
    #basic_domain = "CORP"
    # Until then.
    authentication = ["anonymous"]
    # AccessSSLFlags = AccessSSL | AccessSSL128
    # It needs access.certificate and access.private_key.
    #require_tls = true
    # AccessSSLFlags = AccessSSL | AccessSSL128
    # Not in this version: it needs choice of TLS versions and ciphers.
    #strong_only = true
    # AdminACL gives rights to these accounts.
    # Not in this version: it needs operators.
    #operators = ["Administrators", "SYSTEM"]

    connection_control {
      # Nobody may connect: the old server took mail inside TLS alone, which needs
      # access.certificate, access.private_key and access.require_tls.
      mode = "only"
      list = []
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

  protocol {
    # ConnectResponse = ESMTP relay of corp
    banner = "ESMTP relay of corp"
  }

  pickup {
    # SmtpDotStuffPickupDirFiles is absent; the default of the original is TRUE.
    dot_stuffed = true
  }
}
