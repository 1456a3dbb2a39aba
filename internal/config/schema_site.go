package config

func dnsBlock() Block {
	return Block{
		Name: "dns", Help: "Whom to ask for names.",
		Settings: []Setting{
			{Name: "servers", Kind: KindServers, Default: `[]`, Example: `["192.0.2.53", "[2001:db8::53]:53"]`,
				Follows: "the servers of the operating system",
				Help:    "DNS servers by address, asked in this order; port 53 when left out."},
			{Name: "timeout", Kind: KindTime, Default: `"5s"`, Min: 1, Max: 60,
				Help: "How long to wait for an answer of one server."},
		},
	}
}

func controlBlock() Block {
	return Block{
		Name: "control", Help: "The local socket by which the command line reaches the running service.", Restart: true,
		Settings: []Setting{
			{Name: "socket", Kind: KindPath, Follows: "control.sock in data_directory; on Windows the pipe `" + windowsPipe + "`", Restart: true,
				Example: `"/run/mailroot/control.sock"`,
				Help:    "Path of the socket (on Windows: name of the pipe)."},
			{Name: "group", Kind: KindText, Default: `""`, Follows: "the group of the service's account", Restart: true,
				Example: `"mailadmin"`,
				Help:    "Group of the operating system whose members may use the socket."},
		},
	}
}

func consoleBlock() Block {
	return Block{
		Name: "console", Help: "The web console.", Missing: missConsole, Restart: true,
		Settings: []Setting{
			{Name: "address", Kind: KindText, Default: `"127.0.0.1:8025"`, Restart: true,
				Help: "Address and port that the console listens on."},
		},
	}
}

func virtualServerBlock() Block {
	return Block{
		Name: "virtual_server", Label: "name", Example: "default", Restart: true,
		Help: "One SMTP service with bindings, limits, folders and rules of its own. \"default\" always exists; this version has no other.",
		Settings: []Setting{
			{Name: "description", Kind: KindText, Default: `"Default SMTP Virtual Server"`, Max: 200,
				Help: "Display name."},
			{Name: "fqdn", Kind: KindHostName, Default: `""`, Follows: "the host's DNS name, read at each start",
				Example: `"relay.example.com"`,
				Help:    "Fully qualified domain name: in the banner, in HELO and EHLO, in Received, and to know ourselves in MX records."},
		},
		Blocks: []Block{
			bindingBlock(), connectionsBlock(), ratesBlock(), messagesBlock(), foldersBlock(), queueBlock(), badmailBlock(),
			deliveryBlock(), domainBlock(), accessBlock(), loggingBlock(), protocolBlock(), pickupBlock(),
			dropBlock(), trackingBlock(),
		},
	}
}

func bindingBlock() Block {
	return Block{
		Name: "binding", Label: "address:port", Example: "*:25",
		Help: "An address and port to listen on; \"*:25\" stands for all addresses, which is the one binding when there is no such block. Each pair may be used once.",
		Settings: []Setting{
			{Name: "tls", Kind: KindEnum, Default: `"starttls"`, Values: []string{"none", "starttls", "implicit"},
				Help: "`starttls` offers it (with a certificate), `implicit` begins with TLS as on port 465, `none` has no TLS."},
			{Name: "profile", Kind: KindEnum, Default: `"internal"`, Values: []string{"internal", "internet", "submission"},
				Help: "Who the clients are: sets how strictly addresses without brackets and stray line ends are taken, and header completion."},
			{Name: "proxy_protocol", Kind: KindNetworks, Default: `[]`, Example: `["192.0.2.10"]`, Missing: missProxy,
				Help: "Trust the PROXY protocol from these addresses and networks."},
			{Name: "legacy_tls", Kind: KindBool, Default: `false`, Missing: missTLSOptions,
				Help: "Allow TLS 1.0 and 1.1 for old devices."},
		},
	}
}

func connectionsBlock() Block {
	return Block{
		Name: "connections", Help: "Limits of connections.",
		Settings: []Setting{
			{Name: "inbound_limit", Kind: KindInt, Default: `1000`, Min: 1, Max: maxCount, Zero: "unlimited",
				Help: "Inbound connections at the same time; beyond it 421 4.3.2 before the banner."},
			{Name: "inbound_timeout", Kind: KindTime, Default: `"600s"`, Min: 1, Max: day,
				Help: "Idle time of an inbound connection; then 421 4.4.2 and close."},
			{Name: "inbound_per_address", Kind: KindInt, Default: `"off"`, Min: 1, Max: maxCount, Zero: "off", Example: `20`,
				Help: "Inbound connections at the same time of one client address; beyond it 421 4.7.0 before the banner."},
			{Name: "inbound_per_network", Kind: KindInt, Default: `"off"`, Min: 1, Max: maxCount, Zero: "off", Example: `50`,
				Help: "Inbound connections at the same time of the clients of one network, a /24 of IPv4 or a /64 of IPv6; beyond it 421 4.7.0 before the banner."},
			{Name: "outbound_limit", Kind: KindInt, Default: `500`, Min: 1, Max: maxCount, Zero: "unlimited",
				Help: "Outbound connections at the same time, all remote domains together."},
			{Name: "outbound_timeout", Kind: KindTime, Default: `"600s"`, Min: 1, Max: day,
				Help: "Idle time of an outbound connection; the phases of RFC 5321 section 4.5.3.2 apply below it."},
			{Name: "outbound_per_domain", Kind: KindInt, Follows: "outbound_limit, at most 100", Min: 1, Max: maxCount, Zero: "unlimited", Example: `100`,
				Help: "Outbound connections at the same time to one domain; not above outbound_limit, so unlimited only where that is."},
			{Name: "outbound_port", Kind: KindInt, Default: `25`, Min: 1, Max: 65535,
				Help: "Port for MX hosts, smart hosts and route domains that name none."},
		},
	}
}

func ratesBlock() Block {
	count := func(name, help string) Setting {
		return Setting{Name: name, Kind: KindInt, Default: `"off"`, Min: 1, Max: maxCount, Zero: "off", Example: `100`, Help: help}
	}
	return Block{
		Name: "rates", Help: "Limits over time, per client address and per account.", Missing: missRates,
		Settings: []Setting{
			{Name: "interval", Kind: KindTime, Default: `"1m"`, Min: 1, Max: day,
				Help: "The time over which is counted."},
			count("connections_per_address", "Connections of one client address; beyond it 421 4.7.0."),
			count("messages_per_address", "Messages of one client address; beyond it 451 4.7.1."),
			count("recipients_per_address", "Recipients of one client address; beyond it 451 4.7.1."),
			count("failed_auth_per_address", "Failed authentications of one client address; beyond it 421 4.7.0."),
			count("messages_per_account", "Messages of one account; beyond it 451 4.7.1."),
			count("recipients_per_account", "Recipients of one account; beyond it 451 4.7.1."),
			count("failed_auth_per_account", "Failed authentications of one account; beyond it 421 4.7.0."),
		},
	}
}

const (
	maxCount = 1_000_000
	day      = 24 * 60 * 60 // seconds
	kib      = 1 << 10
	gib      = 1 << 30
)
