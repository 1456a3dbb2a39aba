# Configuration of Mailroot.
#
# A line that begins with "#" and a blank explains what follows. A setting that begins with "#"
# is not set: it has its default, which the line shows; where the default is nothing, or follows
# something else ("Left out: ..."), the line shows an example. To set it, take the "#" away and
# change the value, or let the program do it:
#
#     mailroot config set connections.inbound_limit=500
#     mailroot config set 'domain["example.org"].kind=alias'
#     mailroot config set 'access.relay.list+=192.0.2.0/24'
#
# "mailroot config check" tells what is wrong with the file, "mailroot config show" what is in
# force. A change works after "mailroot reload"; where it needs a restart, that is said.
#
# Texts stand in quotes, with \\ for \. Sizes: "2048KB", "10MB". Times: "600s", "60m", "2d".
# Each setting stands on a line of its own.

# Version of this file's schema; written by `mailroot init`.
version = 1

# Where queue, folders and logs live. Relative paths start at the folder of this file. (A change
# needs a restart.)
data_directory = "."

# Memory that the process may use; `auto`: GOMEMLIMIT, else nine tenths of what the control group
# (container, systemd unit) or the machine has. From four fifths of it on new mail is refused (452
# 4.3.1), from nine tenths on new connections too (421 4.3.2).
#memory_limit = "auto"

# Whom to ask for names.
dns {
  # DNS servers by address, asked in this order; port 53 when left out. Left out: the servers of the
  # operating system.
  #servers = ["192.0.2.53", "[2001:db8::53]:53"]
  # How long to wait for an answer of one server.
  #timeout = "5s"
}

# The local socket by which the command line reaches the running service.
control {
  # Path of the socket (on Windows: name of the pipe). Left out: control.sock in data_directory; on
  # Windows the pipe `\\.\pipe\mailroot`. (A change needs a restart.)
  #socket = "/run/mailroot/control.sock"
  # Group of the operating system whose members may use the socket. Left out: the group of the
  # service's account. (A change needs a restart.)
  #group = "mailadmin"
}

# The web console. (Not available in this version.)
#console {
#  address = "127.0.0.1:8025"
#}

# One SMTP service with bindings, limits, folders and rules of its own. "default" always exists;
# this version has no other.
virtual_server "default" {
  # Display name.
  #description = "Default SMTP Virtual Server"
  # Fully qualified domain name: in the banner, in HELO and EHLO, in Received, and to know ourselves
  # in MX records. Left out: the host's DNS name, read at each start.
  fqdn = "relay.example.test"

  # An address and port to listen on; "*:25" stands for all addresses, which is the one binding when
  # there is no such block. Each pair may be used once.
  binding "127.0.0.1:2525" {
    tls = "none"
  }
  binding "[::1]:2525" {
  }

  # Limits of connections.
  connections {
    # Inbound connections at the same time; beyond it 421 4.3.2 before the banner.
    #inbound_limit = 1000
    # Idle time of an inbound connection; then 421 4.4.2 and close.
    #inbound_timeout = "600s"
    # Inbound connections at the same time of one client address; beyond it 421 4.7.0 before the
    # banner.
    #inbound_per_address = "off"
    # Inbound connections at the same time of the clients of one network, a /24 of IPv4 or a /64 of
    # IPv6; beyond it 421 4.7.0 before the banner.
    #inbound_per_network = "off"
    # Outbound connections at the same time, all remote domains together.
    #outbound_limit = 500
    # Idle time of an outbound connection; the phases of RFC 5321 section 4.5.3.2 apply below it.
    #outbound_timeout = "600s"
    # Outbound connections at the same time to one domain; not above outbound_limit, so unlimited
    # only where that is. Left out: outbound_limit, at most 100.
    #outbound_per_domain = 100
    # Port for MX hosts, smart hosts and route domains that name none.
    #outbound_port = 25
  }

  # Limits over time, per client address and per account. (Not available in this version.)
  #rates {
  #  interval = "1m"
  #  connections_per_address = "off"
  #  messages_per_address = "off"
  #  recipients_per_address = "off"
  #  failed_auth_per_address = "off"
  #  messages_per_account = "off"
  #  recipients_per_account = "off"
  #  failed_auth_per_account = "off"
  #}

  # Limits of messages.
  messages {
    # Preferred limit of a message; a larger one is still taken below max_session_size, unless
    # strict_size is on. Unlimited: max_session_size alone limits it, and is what SIZE tells
    # clients. Follows max_session_size where that is smaller.
    #max_size = "2048KB"
    # Absolute limit: 552 5.3.4 and close. Not below max_size, unless that is unlimited. Left out:
    # max_size, at least 10240KB.
    #max_session_size = "10240KB"
    # Refuse a message above max_size: 552 5.3.4 at MAIL (SIZE=) or at the end of data.
    #strict_size = false
    # Whether max_session_size is counted for each message or summed over the connection. "message"
    # or "connection".
    #session_size_counts = "message"
    # Messages on one outbound connection; then further connections carry on, several at once if the
    # queue is deep.
    #max_per_connection = 20
    # Recipients of one message: 452 4.5.3 for those beyond; to another server they go in a further
    # transaction.
    #max_recipients = 100
    # An NDR returns the whole original up to this size, above it the header only; 0 or `off`:
    # always the header only.
    #ndr_original_size = "10MB"
    # An address that gets a copy of each NDR.
    #ndr_copy_to = "postmaster@example.com"
  }

  # The folders: all different, none within another, and on this computer. Relative paths start at
  # the folder of this file.
  folders {
    # Files put here are sent. Left out: Pickup in data_directory/default. (A change needs a
    # restart.)
    #pickup = "/srv/mailroot/Pickup"
    # The spool: every message that waits. Left out: Queue in data_directory/default. (A change
    # needs a restart.)
    #queue = "/srv/mailroot/Queue"
    # Mail for local domains, one file a message. Left out: Drop in data_directory/default. (A
    # change needs a restart.)
    #drop = "/srv/mailroot/Drop"
    # What could neither be delivered nor returned. Left out: Badmail in data_directory/default. (A
    # change needs a restart.)
    #badmail = "/srv/mailroot/Badmail"
    # The transaction log. Left out: Logs in data_directory/default. (A change needs a restart.)
    #logs = "/srv/mailroot/Logs"
  }

  # What the queue leaves of disk and memory. While there is less, new mail is refused with 452
  # 4.3.1; delivery goes on.
  queue {
    # Free space of the queue's disk; mail is taken again when there is a quarter more. Half of it
    # is kept for reports.
    #min_free_space = "256MB"
    # Files (inodes) that can still be made on that disk, likewise. Windows has no such limit.
    #min_free_files = 1000
    # Memory of all messages that are coming in together; at seven eighths none begins until it is
    # half. Follows at most a quarter of memory_limit.
    #memory = "128MB"
  }

  # Cleaning of the badmail folder, and when to warn about it.
  badmail {
    # Remove what is older, looked at every ten minutes.
    #max_age = "off"
    # Remove the oldest when what this service put there is larger together.
    #max_size = "off"
    # Warn when there are so many messages.
    #warn_messages = 1000
    # Warn when all together is so large.
    #warn_size = "1GB"
  }

  # How messages leave.
  delivery {
    # Where mail for remote domains goes, in order of preference: `host`, `host:port`, `ip`, `[ip]`
    # or `[ip]:port`. Left out: delivery by DNS.
    #smart_host = ["smtp.example.com:587"]
    # Attempt direct delivery first, and go to the smart host when that cannot be made.
    #direct_first = false
    # Received fields that a message may arrive with.
    #max_hops = 15
    # Over max_hops: `accept` takes the message and makes an NDR (5.4.6), `reject` answers 554 5.4.6
    # to the data.
    #hop_reply = "accept"
    # Replaces a local domain in MAIL FROM and From: of mail to next hops.
    #masquerade_domain = "example.com"
    # Look up the client's name, and put it into Received when it is confirmed.
    #reverse_dns = false
    # How long a connection waits for that.
    #reverse_dns_timeout = "5s"
    # Add the default domain to bare addresses in From, To, Cc, Sender and Reply-To as mail goes
    # out.
    #complete_header = true

    # Retries into the drop folder.
    local {
      # Delivery attempts in all, the first included; after the last an NDR.
      #max_retries = 48
      # Times between attempts; the last repeats. Several: with jitter of 10 %. A single one: fixed,
      # without jitter.
      #retry_intervals = ["5m", "15m", "30m", "60m"]
      # Age at which the sender is told, once, that a message still waits, unless NOTIFY says not
      # to.
      #delay_notice_after = "12h"
      # Age at which a message is returned (4.4.7) whatever the attempts.
      #expire_after = "off"
    }

    # Retries to next hops.
    remote {
      # Delivery attempts in all, the first included; after the last an NDR.
      #max_retries = 48
      # Times between attempts; the last repeats. Several: with jitter of 10 %. A single one: fixed,
      # without jitter.
      #retry_intervals = ["5m", "15m", "30m", "60m"]
      # Age at which the sender is told, once, that a message still waits, unless NOTIFY says not
      # to.
      #delay_notice_after = "12h"
      # Age at which a message is returned (4.4.7) whatever the attempts.
      #expire_after = "off"
    }

    # How we appear before next hops.
    outbound_security {
      # How to authenticate: not, by user and password, by NTLM or Kerberos, or by OAuth2.
      #auth = "none"
      # `opportunistic`: when offered; `required`: no TLS, no mail; `verified`: and a valid
      # certificate; `off`: never.
      #tls = "opportunistic"
      # Honour DANE. (Not available in this version.)
      #dane = true
      # Honour MTA-STS. (Not available in this version.)
      #mta_sts = true
      # User; with `integrated` also as `DOMAIN\\user` or user@domain. (Not available in this
      # version.)
      #user = "relay@example.com"
      # Domain of the account, for `integrated`. (Not available in this version.)
      #domain = "EXAMPLE"
      # Password. (Not available in this version.)
      #password = "…"
      # Who issues OAuth2 tokens. "microsoft365", "google" or "other". (Not available in this
      # version.)
      #oauth2_provider = "microsoft365"
      # How OAuth2 tokens are got. "client_credentials" or "refresh_token". (Not available in this
      # version.)
      #oauth2_grant = "client_credentials"
      # Tenant at the provider. (Not available in this version.)
      #oauth2_tenant = "example.com"
      # Where tokens are fetched, for `other`. (Not available in this version.)
      #oauth2_token_url = "https://login.example.com/token"
      # Scope to ask for, for `other`. (Not available in this version.)
      #oauth2_scope = "https://outlook.example.com/.default"
      # Client id. (Not available in this version.)
      #oauth2_client_id = "relay"
      # Client secret. (Not available in this version.)
      #oauth2_client_secret = "…"
      # Refresh token. (Not available in this version.)
      #oauth2_refresh_token = "…"
    }

    # How fast mail goes to one next hop. (Not available in this version.)
    #pacing {
    #  preset = "none"
    #  messages_per_minute = "off"
    #  connections = "off"
    #  recipients_per_day = "off"
    #}
  }

  # A local domain (default or alias) or a remote one. A remote name may begin with "*.": all names
  # below it.
  domain "example.test" {
    kind = "default"
  }
  #domain "example.com" {
  #  kind = "default"
  #}
  #domain "example.net" {
  #  kind = "alias"
  #}
  #domain "example.org" {
  #  # `default`: local, completes addresses, one at most (else the host's DNS name); `alias`: local,
  #  # rewritten to the default domain; `remote`.
  #  kind = "remote"
  #  # (remote) Next hop, as smart_host; beats the smart host. Left out: the smart host, or DNS.
  #  route = ["[192.0.2.7]:25"]
  #  # (remote) Accept mail for it from everybody.
  #  allow_relay = false
  #  # (remote) Send HELO instead of EHLO.
  #  send_helo = false
  #  # (remote) The demand on TLS. "opportunistic", "required", "verified" or "off". Left out:
  #  # delivery.outbound_security.tls.
  #  tls = "required"
  #  # (remote) Honour DANE. Follows delivery.outbound_security.dane. (Not available in this version.)
  #  dane = true
  #  # (remote) Honour MTA-STS. Follows delivery.outbound_security.mta_sts. (Not available in this
  #  # version.)
  #  mta_sts = true
  #  # (remote) Connections at the same time. Left out: connections.outbound_per_domain.
  #  max_connections = 5
  #  # (alias) Rewrite it to the default domain in From, To, Cc, Sender and Reply-To, too, as mail goes
  #  # out.
  #  stamp_header = false
  #  # (remote) Keep mail until it is fetched by ETRN or ATRN. (Not available in this version.)
  #  etrn = false
  #  # (remote) The accounts that may fetch by ATRN. (Not available in this version.)
  #  etrn_accounts = ["branch"]
  #  # Remote: overrides delivery.outbound_security. (Not available in this version.)
  #  outbound_security {
  #    auth = "none"
  #    user = "relay@example.com"
  #    domain = "EXAMPLE"
  #    password = "…"
  #    oauth2_provider = "microsoft365"
  #    oauth2_grant = "client_credentials"
  #    oauth2_tenant = "example.com"
  #    oauth2_token_url = "https://login.example.com/token"
  #    oauth2_scope = "https://outlook.example.com/.default"
  #    oauth2_client_id = "relay"
  #    oauth2_client_secret = "…"
  #    oauth2_refresh_token = "…"
  #  }
  #  # How fast mail goes to one next hop. (Not available in this version.)
  #  pacing {
  #    preset = "none"
  #    messages_per_minute = "off"
  #    connections = "off"
  #    recipients_per_day = "off"
  #  }
  #}

  # Who may connect, and who may relay.
  access {
    # Methods that clients may use. `anonymous` alone: no authentication. The default has also
    # "basic" and "integrated", not available in this version.
    #authentication = ["anonymous"]
    # Offer AUTH LOGIN and PLAIN only inside TLS. (Not available in this version.)
    #basic_requires_tls = true
    # Offer AUTH NTLM and GSSAPI only inside TLS. (Not available in this version.)
    #integrated_requires_tls = true
    # Inside TLS take NTLM, GSSAPI and SCRAM only from clients that bind them to the TLS channel.
    # (Not available in this version.)
    #require_channel_binding = false
    # Domain added to a bare account name. (Not available in this version.)
    #basic_domain = "EXAMPLE"
    # Client certificates authenticate. (Not available in this version.)
    #client_certificates = false
    # PEM file with the certificate and its chain. Left out: no TLS for clients.
    #certificate = "/etc/mailroot/relay.pem"
    # PEM file with the private key of the certificate.
    #private_key = "/etc/mailroot/relay.key"
    # Refuse mail outside TLS: 530 5.7.0. Needs a certificate.
    #require_tls = false
    # Only TLS with forward secrecy and AEAD ciphers of at least 128 bits. (Not available in this
    # version.)
    #strong_only = false
    # Accounts and groups that may run this virtual server. Left out: the administrators. (Not
    # available in this version.)
    #operators = ["group:relay-admins"]

    # Who may connect: 554 5.7.1 and close for others.
    connection_control {
      # `only`: those on the list; `all_except`: all but those on the list.
      #mode = "all_except"
      # Addresses, and networks with prefix or mask. Domain names come in a later version.
      #list = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]
    }

    # Who may relay, that is send to domains that are not ours: 550 5.7.1 for others.
    relay {
      # `only`: those on the list; `all_except`: all but those on the list.
      #mode = "only"
      # Addresses, and networks with prefix or mask. Domain names come in a later version. Left out:
      # nobody.
      list = ["127.0.0.0/8", "::1"]
      # Authenticated clients may relay too. (Not available in this version.)
      #authenticated = true
    }

    # Accounts that may submit: 535 for others. (Not available in this version.)
    #submit_accounts {
    #  mode = "all_except"
    #  list = ["group:relay-users", "scanner"]
    #}

    # Accounts that may relay; others count as not authenticated. (Not available in this version.)
    #relay_accounts {
    #  mode = "all_except"
    #  list = ["group:relay-users", "scanner"]
    #}

    # Which account or network may use which sender. (Not available in this version.)
    #sender_rule "printers" {
    #  accounts = ["printer"]
    #  networks = ["192.0.2.0/24"]
    #  senders = ["printer@example.com", "*@print.example.com"]
    #  action = "refuse"
    #  rewrite_to = "printer@example.com"
    #}
  }

  # The transaction log, written to folders.logs.
  logging {
    # Write the transaction log.
    #enabled = true
    # W3C Extended, Microsoft IIS, NCSA Common, ODBC (SQL), or JSON lines.
    #format = "w3c"
    # Fields of the W3C format, by their original names. (Not available in this version.)
    #fields = ["all"]
    # When a new file begins.
    #rollover = "daily"
    # With rollover by size: how large a file becomes. (Not available in this version.)
    #rollover_size = "20MB"
    # Name files and begin new ones by local time instead of UTC. (Not available in this version.)
    #local_time = false
    # Remove log files that are older. (Not available in this version.)
    #max_age = "off"
    # Compress log files that are finished. (Not available in this version.)
    #compress = false

    # Where the ODBC (SQL) format writes. (Not available in this version.)
    #odbc {
    #  driver = "odbc"
    #  dsn = "HTTPLOG"
    #  table = "InternetLog"
    #  user = "InternetAdmin"
    #  password = "…"
    #}
  }

  # How the server speaks, and what delivery puts up with.
  protocol {
    # Wording of replies: as the original's, so that scripts which match them go on, or plain.
    # "classic" or "plain".
    #voice = "classic"
    # What follows `220 FQDN ` in the banner. Left out: ESMTP MAIL Service ready at DATE.
    #banner = "ESMTP ready"
    # Where mail to `postmaster` without a domain goes. Left out: postmaster@ the default domain.
    #postmaster = "mailadmin@example.com"
    # Refuse (5.4.4) to deliver to MX hosts with private addresses.
    #block_private_mx = false
    # Deliver to MX hosts with loopback addresses, else 5.4.4; for tests.
    #allow_loopback_mx = false
    # Octets per second, averaged over 60 s, that a client must send within DATA or BDAT; else 421
    # 4.4.2.
    #min_data_rate = 500
    # How long min_data_rate is not asked for at the start of the data.
    #min_data_grace = "30s"
    # Enable TURN, for authenticated clients. (Not available in this version.)
    #turn = false
    # Re-encode text lines above 998 octets on the way out. (Not available in this version.)
    #reencode_long_lines = false
    # Accept NTLM version 1. (Not available in this version.)
    #ntlm_v1 = false
  }

  # How files in the pickup folder are read.
  pickup {
    # A leading dot of a line is doubled in the files, as the original wants it, and a dot alone at
    # the end is left out.
    #dot_stuffed = true
  }

  # What the drop folder takes.
  drop {
    # Size of all files together; beyond it 452 4.2.2 for local recipients.
    #quota = "off"
    # The only local recipients that exist, by their local-part, or with a local domain, which
    # stands for all of them; 550 5.1.1 for others. `postmaster` is always one. Left out: each
    # local-part is accepted.
    #recipients = ["sales", "info"]
  }

  # The life of each message, searchable after it has left. (Not available in this version.)
  #tracking {
  #  keep = "30d"
  #}
}
