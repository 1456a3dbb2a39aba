package metabase

// Reasons that several rows share.
const (
	whyRuntime   = "a state of the running service, no setting"
	whyMemory    = "a size of the old program's memory or threads; Mailroot bounds its own"
	whyOS        = "belongs to the web services or the operating system, and has no effect on mail"
	whyTimeouts  = "each phase has the time of RFC 5321 section 4.5.3.2, below connections.outbound_timeout and inbound_timeout"
	whyLDAP      = "LDAP routing is not in this version"
	whyRegistry  = "stands in the registry, not in this file"
	whyEncrypted = "is encrypted for the old machine and cannot be read elsewhere; enter it again"
	whyVerbs     = "extensions are not switched one by one: each is offered, and used where the other side offers it"
	whySwitch    = "Mailroot has no such switch"
	whyFlag      = "marks that a value was set by hand; the value itself is taken"
)

func generalProperties() []Property {
	return []Property{
		taken("ServerComment", 1015, "", "description"),
		guards("MULTISZ", taken("ServerBindings", 1023, ":25:", "binding")),
		changed("SecureBindings", 2021, "", "binding", "a binding with TLS from its start needs a certificate, so it is written commented out"),
		changed("FullyQualifiedDomainName", 0, "", "fqdn", "it is the default domain too where DefaultDomain is absent and no domain is marked as that"),
		notTaken("UpdatedFQDN", 0, whyFlag),
		taken("MaxConnections", 1014, "2000000000", "connections.inbound_limit"),
		taken("ConnectionTimeout", 1013, "600", "connections.inbound_timeout"),
		taken("MaxOutConnections", 36894, "0", "connections.outbound_limit"),
		changed("LimitRemoteConnections", 36926, "FALSE", "connections.outbound_limit", "where it is FALSE or absent, MaxOutConnections was no limit"),
		taken("MaxOutConnectionsPerDomain", 36925, "0", "connections.outbound_per_domain"),
		taken("RemoteTimeout", 36921, "0", "connections.outbound_timeout"),
		taken("RemoteSmtpPort", 0, "25", "connections.outbound_port"),
		notTaken("RemoteSmtpSecurePort", 36929, "obsolete: TLS begins by STARTTLS on outbound_port"),
		notTaken("ServerAutoStart", 1017, "the operating system starts Mailroot; it has one service for all virtual servers"),
		notTaken("ServerState", 1016, whyRuntime),
		notTaken("ServerCommand", 1012, whyRuntime),
		notTaken("KeyType", 1002, "names the class of a key"),
	}
}

func messageProperties() []Property {
	return []Property{
		changed("MaxMessageSize", 36891, "33554432", "messages.max_size", "the later service refused larger messages: messages.strict_size says so"),
		changed("MaxSessionSize", 36892, "268435456", "messages.max_session_size", "the later service counted over the connection: messages.session_size_counts says so"),
		taken("MaxBatchedMessages", 36871, "0", "messages.max_per_connection"),
		taken("MaxRecipients", 36895, "100", "messages.max_recipients"),
		taken("SendNdrTo", 0, "", "messages.ndr_copy_to"),
		notTaken("SendBadTo", 36923, "Badmail is a folder; who should know of NDRs stands in messages.ndr_copy_to"),
		notTaken("PostmasterName", 36916, "NDRs come from postmaster@ the default domain, under that name"),
		notTaken("PostmasterEmail", 36917, "NDRs come from postmaster@ the default domain; where mail to postmaster goes is protocol.postmaster"),
		notTaken("MaxMailObjects", 36873, whyMemory),
	}
}

func folderProperties() []Property {
	const why = "the folder is kept on Windows; elsewhere it lies below data_directory"
	return []Property{
		changed("PickupDirectory", 36880, "", "folders.pickup", why),
		changed("QueueDirectory", 36875, "", "folders.queue", why+". It holds a log; old queue files are taken by mailroot adopt"),
		changed("DropDirectory", 36882, "", "folders.drop", why),
		changed("BadMailDirectory", 36909, "", "folders.badmail", why),
		notTaken("SortTempDirectory", 36930, "there are no temporary files beside the queue"),
		notTaken("ShouldPickupMail", 0, "the Pickup folder is always read"),
		notTaken("ShouldDeliver", 0, "delivery is stopped by mailroot queue freeze --all"),
		taken("SmtpDotStuffPickupDirFiles", 37030, "TRUE", "pickup.dot_stuffed"),
		notTaken("MaxDirChangeIOSize", 0, whyMemory),
	}
}

func deliveryProperties() []Property {
	return []Property{
		taken("HopCount", 36886, "10", "delivery.max_hops"),
		taken("MasqueradeDomain", 36912, "", "delivery.masquerade_domain"),
		changed("DoMasquerade", 36913, "FALSE", "delivery.masquerade_domain", "where it is FALSE or absent, the masquerade domain is written commented out"),
		taken("SmartHost", 36906, "", "delivery.smart_host"),
		changed("SmartHostType", 36905, "0", "delivery.direct_first", "0 or absent: the smart host is written commented out; 1: direct delivery first; 2: always the smart host"),
		taken("EnableReverseDnsLookup", 0, "FALSE", "delivery.reverse_dns"),
		taken("DefaultDomain", 36908, "", "domain"),
		notTaken("UpdatedDefaultDomain", 0, whyFlag),
		taken("RouteActionString", 36947, "", "domain.route"),
		notTaken("DomainRouting", 36920, "reserved, and without effect"),
		notTaken("NameResolutionType", 36885, "names are asked of the DNS servers in dns.servers, else of those of the operating system"),
		notTaken("SmtpUseTcpDns", 36997, "UDP first, TCP for answers that are truncated"),
		notTaken("SmtpDomainValidationFlags", 36992, whySwitch),
		notTaken("SmtpFlushMailFile", 0, "each message is safe on disk before its 250, always"),
		notTaken("AddNoHeaders", 0, "Received is always added"),
		notTaken("SmtpDSNOptions", 0, whySwitch),
		notTaken("SmtpDSNLanguageID", 0, "reports are in English"),
		notTaken("SmtpAdvQueueDll", 0, "a library of the old program"),
		notTaken("RoutingDll", 0, "a library of the old program"),
		notTaken("SmtpMaxRemoteQThreads", 36964, whyMemory),
		notTaken("SmtpAqueueWait", 0, whyMemory),
	}
}

func retryProperties() []Property {
	const old = "counts where nothing of the later retry settings is in the file; else expire_after bounds the attempts"
	return []Property{
		changed("SmtpRemoteProgressiveRetry", 36996, "15,30,60,240", "delivery.remote.retry_intervals", "with a jitter of 10 %; max_retries is set so high that only expire_after ends them"),
		taken("SmtpRemoteNDRExpireMinutes", 0, "", "delivery.remote.expire_after"),
		taken("SmtpRemoteDelayExpireMinutes", 37019, "60", "delivery.remote.delay_notice_after"),
		taken("SmtpLocalNDRExpireMinutes", 0, "", "delivery.local.expire_after"),
		taken("SmtpLocalDelayExpireMinutes", 0, "", "delivery.local.delay_notice_after"),
		changed("RemoteRetryAttempts", 36898, "48", "delivery.remote.max_retries", old),
		changed("RemoteRetryInterval", 36899, "60", "delivery.remote.retry_intervals", old),
		changed("LocalRetryAttempts", 36896, "48", "delivery.local.max_retries", old),
		taken("LocalRetryInterval", 36897, "60", "delivery.local.retry_intervals"),
		notTaken("SmtpRemoteRetryThreshold", 36995, "the list of intervals says it: the last one repeats"),
	}
}

func securityProperties() []Property {
	return []Property{
		guards("DWORD", changed("RouteAction", 36946, "0", "domain", "a word of bits: kind, route, allow_relay, tls, send_helo, etrn and outbound_security of a domain; of a server delivery.outbound_security")),
		taken("RouteUserName", 36948, "", "delivery.outbound_security.user"),
		secret("RoutePassword", 36949, "delivery.outbound_security.password", whyEncrypted),
		guards("DWORD", taken("AlwaysUseSsl", 0, "FALSE", "delivery.outbound_security.tls")),
		taken("AuthTurnList", 36966, "", "domain.etrn_accounts"),
		notTaken("CSideEtrnDomains", 36968, "Mailroot does not ask other servers for mail by ETRN"),
		notTaken("EtrnDays", 0, "mail that waits for ETRN expires as all mail does"),
		notTaken("EtrnSubdomains", 0, "an ETRN for @domain asks for what lies below it; there is nothing to set"),
		notTaken("SmtpSSLRequireTrustedCA", 0, "outbound_security.tls = \"verified\" asks for a valid certificate"),
		notTaken("SmtpSSLCertHostnameValidation", 0, "outbound_security.tls = \"verified\" asks for a valid certificate"),
	}
}

func accessProperties() []Property {
	return []Property{
		guards("DWORD", taken("AuthFlags", 6000, "", "access.authentication")),
		guards("DWORD", taken("AuthAnonymous", 0, "", "access.authentication")),
		guards("DWORD", taken("AuthBasic", 0, "", "access.authentication")),
		guards("DWORD", taken("AuthNTLM", 0, "", "access.authentication")),
		guards("DWORD", notTaken("AllowAnonymous", 5005, "AuthFlags says who may come without authentication; where it is FALSE, and AuthFlags does not say so, nobody may connect")),
		changed("DefaultLogonDomain", 6012, "", "access.basic_domain", "SaslLogonDomain goes before it"),
		taken("SaslLogonDomain", 0, "", "access.basic_domain"),
		notTaken("SmtpClearTextProvider", 0, "a library of the old program"),
		notTaken("NTAuthenticationProviders", 6032, "which mechanisms are offered follows from the sources of accounts"),
		notTaken("Realm", 6001, whyOS),
		notTaken("AnonymousUserName", 6020, "mail is taken without an account of the operating system"),
		secret("AnonymousUserPass", 6021, "", "mail is taken without an account of the operating system"),
		guards("DWORD", changed("AccessSSLFlags", 6030, "0", "access.require_tls", "needs a certificate, so it is written commented out, and nobody may connect until then; AccessSSL128 becomes access.strong_only, certificates of clients access.client_certificates")),
		guards("DWORD", taken("AccessSSL", 0, "", "access.require_tls")),
		guards("DWORD", taken("AccessSSLNegotiateCert", 0, "", "access.client_certificates")),
		guards("DWORD", taken("AccessSSLRequireCert", 0, "", "access.client_certificates")),
		guards("DWORD", taken("AccessSSLMapCert", 0, "", "access.client_certificates")),
		guards("DWORD", taken("AccessSSL128", 0, "", "access.strong_only")),
		notTaken("SSLCertHash", 5506, "the certificate and its key stand in the store of the old machine; export them as PEM and set access.certificate and access.private_key"),
		notTaken("SSLStoreName", 5511, "see SSLCertHash"),
		guards("BINARY", taken("IPSecurity", 6019, "", "access.connection_control")),
		guards("BINARY", taken("RelayIpList", 36970, "", "access.relay")),
		guards("MULTISZ", taken("IPGrant", 0, "", "access.connection_control.list")),
		guards("MULTISZ", taken("IPDeny", 0, "", "access.connection_control.list")),
		guards("MULTISZ", taken("DomainGrant", 0, "", "access.connection_control.list")),
		guards("MULTISZ", taken("DomainDeny", 0, "", "access.connection_control.list")),
		guards("DWORD", taken("GrantByDefault", 0, "", "access.connection_control.mode")),
		notTaken("SmtpIpRestrictionFlag", 37031, "what it means is not known; the lists themselves are taken"),
		guards("DWORD", taken("RelayForAuth", 36973, "0", "access.relay.authenticated")),
		notTaken("SmtpDisableRelay", 36974, "its meaning is told both ways; the relay list decides, and is closed unless it grants"),
		{Name: "AdminACL", ID: 6027, Fate: Changed, Setting: "access.operators", Secret: true,
			Why: "a security descriptor: its accounts are named where it can be read, and written commented out"},
	}
}

func loggingProperties() []Property {
	return []Property{
		taken("LogType", 4000, "", "logging.enabled"),
		taken("LogPluginClsid", 4011, "", "logging.format"),
		taken("LogExtFileFlags", 4013, "", "logging.fields"),
		taken("LogFilePeriod", 4003, "", "logging.rollover"),
		taken("LogFileTruncateSize", 4004, "20971520", "logging.rollover_size"),
		taken("LogFileLocaltimeRollover", 4015, "FALSE", "logging.local_time"),
		changed("LogFileDirectory", 4001, "", "folders.logs", "kept on Windows, with the folder of the virtual server below it; elsewhere it lies below data_directory"),
		taken("LogOdbcDataSource", 4007, "HTTPLOG", "logging.odbc.dsn"),
		taken("LogOdbcTableName", 4008, "InternetLog", "logging.odbc.table"),
		taken("LogOdbcUserName", 4009, "InternetAdmin", "logging.odbc.user"),
		secret("LogOdbcPassword", 4010, "logging.odbc.password", whyEncrypted),
		notTaken("LogModuleId", 4005, "names a log format for LogPluginClsid"),
		notTaken("LogModuleUiId", 4006, "a dialog of the old program"),
		notTaken("LogModuleList", 0, "the log formats that the old service could use"),
		notTaken("SmtpCommandLogMask", 36864, "each command is logged"),
		notTaken("DontLog", 6023, "of the web services; logging.enabled switches the log"),
		notTaken("SmtpEventlogLevel", 0, "the log of the service says what happens, once"),
	}
}

func protocolProperties() []Property {
	return []Property{
		notTaken("SmtpInboundCommandSupportOptions", 36998, whyVerbs),
		notTaken("SmtpOutboundCommandSupportOptions", 36999, whyVerbs+" (the value 7 of installed systems kept the old service from ESMTP)"),
		taken("ConnectResponse", 0, "", "protocol.banner"),
		notTaken("Switch8BitMIME", 36865, whyVerbs),
		notTaken("AllowVerify", 0, "VRFY answers 252, which tells nothing"),
		notTaken("ShouldPipelineIn", 36902, whyVerbs),
		notTaken("ShouldPipelineOut", 0, whyVerbs),
		notTaken("MaxSmtpErrors", 36887, "a session ends after 20 commands that lead nowhere, or 3 that cannot be read"),
		notTaken("SmtpHeloNoDomain", 0, "HELO without a name is taken with protocol.voice = \"classic\""),
		notTaken("SmtpMailNoHelo", 0, "MAIL needs no HELO before it"),
		notTaken("SmtpConnectTimeout", 37001, whyTimeouts),
		notTaken("SmtpHeloTimeout", 37002, whyTimeouts),
		notTaken("SmtpMailFromTimeout", 37003, whyTimeouts),
		notTaken("SmtpRcptToTimeout", 37004, whyTimeouts),
		notTaken("SmtpDataTimeout", 37005, whyTimeouts),
		notTaken("SmtpBdatTimeout", 37006, whyTimeouts),
		notTaken("SmtpAuthTimeout", 37007, whyTimeouts),
		notTaken("SmtpSaslTimeout", 37008, whyTimeouts),
		notTaken("SmtpTurnTimeout", 37009, whyTimeouts),
		notTaken("SmtpRsetTimeout", 37010, whyTimeouts),
	}
}

func plumbingProperties() []Property {
	return []Property{
		notTaken("MaxBandwidth", 1000, whyOS),
		notTaken("ServerListenTimeout", 1020, "a client that says nothing has connections.inbound_timeout"),
		notTaken("MaxEndpointConnections", 1024, whyMemory),
		notTaken("DisableSocketPooling", 1029, "each binding has a socket of its own"),
		guards("DWORD", notTaken("AccessFlags", 6016, whyOS+"; where it has bits of AccessSSLFlags, nobody may connect")),
		notTaken("Path", 0, whyOS),
		notTaken("SmtpServer", 45059, "belongs to the news service"),
	}
}

func routingProperties() []Property {
	rows := []Property{
		notTaken("SmtpRoutingTableType", 36950, whyLDAP),
		notTaken("SmtpDsDefaultMailRoot", 36952, whyLDAP),
		notTaken("SmtpDsBindType", 36953, whyLDAP),
		notTaken("SmtpDsFlags", 37024, whyLDAP),
		secret("SmtpDsPassword", 0, "", whyLDAP+"; the password is encrypted for the old machine"),
	}
	for _, name := range []string{"Account", "DataDirectory", "Domain", "Host", "NamingContext", "Port", "SchemaType", "UseCat"} {
		rows = append(rows, notTaken("SmtpDs"+name, 0, whyLDAP))
	}
	return rows
}

// registryValues are settings of the original that no metabase holds; they stand here for who looks for them.
func registryValues() []Property {
	rows := []Property{
		notTaken("TarpitTime", 0, whyRegistry+"; wrong commands are delayed, and end the session when they go on"),
		notTaken("MaxDSNSize", 0, whyRegistry+"; set messages.ndr_original_size"),
		notTaken("DisablePickupDotStuff", 0, whyRegistry+"; set pickup.dot_stuffed"),
		notTaken("SmtpServiceVersion", 0, whyRegistry),
	}
	for _, name := range []string{"DirectoryBuffSize", "DnsSocketTimeout", "MaxAddressObjects", "MaxDirectoryBuffers", "NumDnsResolverSockets", "MaxMessageObjects"} {
		rows = append(rows, notTaken(name, 0, whyRegistry+"; "+whyMemory))
	}
	return rows
}
