package config

func deliveryBlock() Block {
	return Block{
		Name: "delivery", Help: "How messages leave.",
		Settings: []Setting{
			{Name: "smart_host", Kind: KindHosts, Default: `[]`, Follows: "delivery by DNS", Example: `["smtp.example.com:587"]`,
				Help: "Where mail for remote domains goes, in order of preference: `host`, `host:port`, `ip`, `[ip]` or `[ip]:port`."},
			{Name: "direct_first", Kind: KindBool, Default: `false`,
				Help: "Attempt direct delivery first, and go to the smart host when that cannot be made."},
			{Name: "max_hops", Kind: KindInt, Default: `15`, Min: 1, Max: 100,
				Help: "Received fields that a message may arrive with."},
			{Name: "hop_reply", Kind: KindEnum, Default: `"accept"`, Values: []string{"accept", "reject"},
				Help: "Over max_hops: `accept` takes the message and makes an NDR (5.4.6), `reject` answers 554 5.4.6 to the data."},
			{Name: "masquerade_domain", Kind: KindHostName, Default: `""`, Example: `"example.com"`,
				Help: "Replaces a local domain in MAIL FROM and From: of mail to next hops."},
			{Name: "reverse_dns", Kind: KindBool, Default: `false`,
				Help: "Look up the client's name, and put it into Received when it is confirmed."},
			{Name: "reverse_dns_timeout", Kind: KindTime, Default: `"5s"`, Min: 1, Max: 30,
				Help: "How long a connection waits for that."},
			{Name: "complete_header", Kind: KindBool, Default: `true`,
				Help: "Add the default domain to bare addresses in From, To, Cc, Sender and Reply-To as mail goes out."},
		},
		Blocks: []Block{
			retryBlock("local", "Retries into the drop folder."),
			retryBlock("remote", "Retries to next hops."),
			{
				Name: "outbound_security", Help: "How we appear before next hops.",
				Settings: append([]Setting{
					outboundAuth(),
					{Name: "tls", Kind: KindEnum, Default: `"opportunistic"`, Values: outboundTLSValues(),
						Help: "`opportunistic`: when offered; `required`: no TLS, no mail; `verified`: and a valid certificate; `off`: never."},
					{Name: "dane", Kind: KindBool, Default: `true`, Missing: missTLSPolicy,
						Help: "Honour DANE."},
					{Name: "mta_sts", Kind: KindBool, Default: `true`, Missing: missTLSPolicy,
						Help: "Honour MTA-STS."},
				}, credentialSettings()...),
			},
			pacingBlock(),
		},
	}
}

func retryBlock(name, help string) Block {
	return Block{
		Name: name, Help: help,
		Settings: []Setting{
			{Name: "max_retries", Kind: KindInt, Default: `48`, Min: 1, Max: 10000,
				Help: "Delivery attempts in all, the first included; after the last an NDR."},
			{Name: "retry_intervals", Kind: KindTimes, Default: `["5m", "15m", "30m", "60m"]`, Min: 1, Max: 30 * day,
				Help: "Times between attempts; the last repeats. Several: with jitter of 10 %. A single one: fixed, without jitter."},
			{Name: "delay_notice_after", Kind: KindTime, Default: `"12h"`, Min: 60, Max: 365 * day, Zero: "off",
				Help: "Age at which the sender is told, once, that a message still waits, unless NOTIFY says not to."},
			{Name: "expire_after", Kind: KindTime, Default: `"off"`, Min: 1, Max: 365 * day, Zero: "off", Example: `"2d"`,
				Help: "Age at which a message is returned (4.4.7) whatever the attempts."},
		},
	}
}

func outboundAuth() Setting {
	return Setting{Name: "auth", Kind: KindEnum, Default: `"none"`, Values: []string{"none", "basic", "integrated", "oauth2"},
		Later: []string{"basic", "integrated", "oauth2"},
		Help:  "How to authenticate: not, by user and password, by NTLM or Kerberos, or by OAuth2."}
}

func outboundTLSValues() []string { return []string{"opportunistic", "required", "verified", "off"} }

// credentialSettings are those of outbound_security besides auth and tls; all wait for
// outbound authentication.
func credentialSettings() []Setting {
	text := func(name, example, help string) Setting {
		return Setting{Name: name, Kind: KindText, Default: `""`, Example: example, Missing: missOutAuth, Help: help}
	}
	secret := func(name, help string) Setting {
		s := text(name, `"…"`, help)
		s.Secret = true
		return s
	}
	return []Setting{
		text("user", `"relay@example.com"`, "User; with `integrated` also as `DOMAIN\\\\user` or user@domain."),
		text("domain", `"EXAMPLE"`, "Domain of the account, for `integrated`."),
		secret("password", "Password."),
		{Name: "oauth2_provider", Kind: KindEnum, Default: `"microsoft365"`, Values: []string{"microsoft365", "google", "other"}, Missing: missOutAuth,
			Help: "Who issues OAuth2 tokens."},
		{Name: "oauth2_grant", Kind: KindEnum, Default: `"client_credentials"`, Values: []string{"client_credentials", "refresh_token"}, Missing: missOutAuth,
			Help: "How OAuth2 tokens are got."},
		text("oauth2_tenant", `"example.com"`, "Tenant at the provider."),
		text("oauth2_token_url", `"https://login.example.com/token"`, "Where tokens are fetched, for `other`."),
		text("oauth2_scope", `"https://outlook.example.com/.default"`, "Scope to ask for, for `other`."),
		text("oauth2_client_id", `"relay"`, "Client id."),
		secret("oauth2_client_secret", "Client secret."),
		secret("oauth2_refresh_token", "Refresh token."),
	}
}

func pacingBlock() Block {
	count := func(name, help string) Setting {
		return Setting{Name: name, Kind: KindInt, Default: `"off"`, Min: 1, Max: maxCount, Zero: "off", Example: `30`, Help: help}
	}
	return Block{
		Name: "pacing", Help: "How fast mail goes to one next hop.", Missing: missPacing,
		Settings: []Setting{
			{Name: "preset", Kind: KindEnum, Default: `"none"`, Values: []string{"none", "microsoft365", "google"},
				Help: "Limits that suit a provider."},
			count("messages_per_minute", "Messages in a minute."),
			count("connections", "Connections at the same time."),
			count("recipients_per_day", "Recipients in a day."),
		},
	}
}

func domainBlock() Block {
	return Block{
		Name: "domain", Label: "name", Example: "example.org",
		Help: "A local domain (default or alias) or a remote one. A remote name may begin with \"*.\": all names below it.",
		Settings: []Setting{
			{Name: "kind", Kind: KindEnum, Required: true, Values: []string{"default", "alias", "remote"}, Example: `"remote"`,
				Help: "`default`: local, completes addresses, one at most (else the host's DNS name); `alias`: local, rewritten to the default domain; `remote`."},
			{Name: "route", Kind: KindHosts, Default: `[]`, Follows: "the smart host, or DNS", Example: `["[192.0.2.7]:25"]`,
				ForKind: "remote", Help: "Next hop, as smart_host; beats the smart host."},
			{Name: "allow_relay", Kind: KindBool, Default: `false`,
				ForKind: "remote", Help: "Accept mail for it from everybody."},
			{Name: "send_helo", Kind: KindBool, Default: `false`,
				ForKind: "remote", Help: "Send HELO instead of EHLO."},
			{Name: "tls", Kind: KindEnum, Follows: "delivery.outbound_security.tls", Values: outboundTLSValues(), Example: `"required"`,
				ForKind: "remote", Help: "The demand on TLS."},
			{Name: "dane", Kind: KindBool, Default: `true`, Follows: "delivery.outbound_security.dane", Missing: missTLSPolicy,
				ForKind: "remote", Help: "Honour DANE."},
			{Name: "mta_sts", Kind: KindBool, Default: `true`, Follows: "delivery.outbound_security.mta_sts", Missing: missTLSPolicy,
				ForKind: "remote", Help: "Honour MTA-STS."},
			{Name: "max_connections", Kind: KindInt, Follows: "connections.outbound_per_domain", Min: 1, Max: maxCount, Zero: "unlimited", Example: `5`,
				ForKind: "remote", Help: "Connections at the same time."},
			{Name: "stamp_header", Kind: KindBool, Default: `false`,
				ForKind: "alias", Help: "Rewrite it to the default domain in From, To, Cc, Sender and Reply-To, too, as mail goes out."},
			{Name: "etrn", Kind: KindBool, Default: `false`, Missing: missETRN,
				ForKind: "remote", Help: "Keep mail until it is fetched by ETRN or ATRN."},
			{Name: "etrn_accounts", Kind: KindTexts, Default: `[]`, Example: `["branch"]`, Missing: missETRN,
				ForKind: "remote", Help: "The accounts that may fetch by ATRN."},
		},
		Blocks: []Block{
			{
				Name: "outbound_security", Help: "Remote: overrides delivery.outbound_security.", Missing: missOutAuth,
				Settings: append([]Setting{outboundAuth()}, credentialSettings()...),
			},
			pacingBlock(),
		},
	}
}
