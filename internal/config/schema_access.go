package config

func accessBlock() Block {
	return Block{
		Name: "access", Help: "Who may connect, and who may relay.",
		Settings: []Setting{
			{Name: "authentication", Kind: KindEnums, Default: `["anonymous", "basic", "integrated"]`, Min: 1, Example: `["anonymous"]`,
				Values: []string{"anonymous", "basic", "integrated"}, Later: []string{"basic", "integrated"},
				Help: "Methods that clients may use. `anonymous` alone: no authentication."},
			{Name: "basic_requires_tls", Kind: KindBool, Default: `true`, Missing: missAuth,
				Help: "Offer AUTH LOGIN and PLAIN only inside TLS."},
			{Name: "integrated_requires_tls", Kind: KindBool, Default: `true`, Missing: missAuth,
				Help: "Offer AUTH NTLM and GSSAPI only inside TLS."},
			{Name: "require_channel_binding", Kind: KindBool, Default: `false`, Missing: missAuth,
				Help: "Inside TLS take NTLM, GSSAPI and SCRAM only from clients that bind them to the TLS channel."},
			{Name: "basic_domain", Kind: KindText, Default: `""`, Example: `"EXAMPLE"`, Missing: missAuth,
				Help: "Domain added to a bare account name."},
			{Name: "client_certificates", Kind: KindBool, Default: `false`, Missing: missAuth,
				Help: "Client certificates authenticate."},
			{Name: "certificate", Kind: KindPath, Default: `""`, Follows: "no TLS for clients", Example: `"/etc/mailroot/relay.pem"`,
				Help: "PEM file with the certificate and its chain."},
			{Name: "private_key", Kind: KindPath, Default: `""`, Example: `"/etc/mailroot/relay.key"`,
				Help: "PEM file with the private key of the certificate."},
			{Name: "require_tls", Kind: KindBool, Default: `false`,
				Help: "Refuse mail outside TLS: 530 5.7.0. Needs a certificate."},
			{Name: "strong_only", Kind: KindBool, Default: `false`, Missing: missTLSOptions,
				Help: "Only TLS with forward secrecy and AEAD ciphers of at least 128 bits."},
			{Name: "operators", Kind: KindTexts, Default: `[]`, Follows: "the administrators", Example: `["group:relay-admins"]`, Missing: missOperators,
				Help: "Accounts and groups that may run this virtual server."},
		},
		Blocks: []Block{
			{
				Name: "connection_control", Help: "Who may connect: 554 5.7.1 and close for others.",
				Settings: []Setting{
					listMode("all_except"),
					{Name: "list", Kind: KindNetworks, Default: `[]`, Example: `["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]`,
						Help: "Addresses, and networks with prefix or mask. Domain names come in a later version."},
				},
			},
			{
				Name: "relay", Help: "Who may relay, that is send to domains that are not ours: 550 5.7.1 for others.",
				Settings: []Setting{
					listMode("only"),
					{Name: "list", Kind: KindNetworks, Default: `[]`, Follows: "nobody", Example: `["192.0.2.0/24"]`,
						Help: "Addresses, and networks with prefix or mask. Domain names come in a later version."},
					{Name: "authenticated", Kind: KindBool, Default: `true`, Missing: missAuth,
						Help: "Authenticated clients may relay too."},
				},
			},
			accountList("submit_accounts", "Accounts that may submit: 535 for others."),
			accountList("relay_accounts", "Accounts that may relay; others count as not authenticated."),
			{
				Name: "sender_rule", Label: "name", Example: "printers", Missing: missRules,
				Help: "Which account or network may use which sender.",
				Settings: []Setting{
					{Name: "accounts", Kind: KindTexts, Default: `[]`, Example: `["printer"]`,
						Help: "Accounts and groups it is for."},
					{Name: "networks", Kind: KindNetworks, Default: `[]`, Example: `["192.0.2.0/24"]`,
						Help: "Client addresses and networks it is for."},
					{Name: "senders", Kind: KindTexts, Default: `[]`, Example: `["printer@example.com", "*@print.example.com"]`,
						Help: "The senders they may use."},
					{Name: "action", Kind: KindEnum, Default: `"refuse"`, Values: []string{"refuse", "rewrite"},
						Help: "What happens to another sender."},
					{Name: "rewrite_to", Kind: KindMailbox, Default: `""`, Example: `"printer@example.com"`,
						Help: "The sender that replaces it."},
				},
			},
		},
	}
}

func listMode(def string) Setting {
	return Setting{Name: "mode", Kind: KindEnum, Default: quote(def), Values: []string{"only", "all_except"},
		Help: "`only`: those on the list; `all_except`: all but those on the list."}
}

func accountList(name, help string) Block {
	return Block{
		Name: name, Help: help, Missing: missAuth,
		Settings: []Setting{
			listMode("all_except"),
			{Name: "list", Kind: KindTexts, Default: `[]`, Example: `["group:relay-users", "scanner"]`,
				Help: "Accounts and groups."},
		},
	}
}
