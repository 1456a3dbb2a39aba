package config

func messagesBlock() Block {
	return Block{
		Name: "messages", Help: "Limits of messages.",
		Settings: []Setting{
			{Name: "max_size", Kind: KindSize, Default: `"2048KB"`, Follows: "max_session_size where that is smaller", Min: kib, Max: maxSize, Zero: "unlimited",
				Help: "Preferred limit of a message; a larger one is still taken below max_session_size, unless strict_size is on. Unlimited: max_session_size alone limits it, and is what SIZE tells clients."},
			{Name: "max_session_size", Kind: KindSize, Follows: "max_size, at least 10240KB", Min: kib, Max: maxSize, Zero: "unlimited", Example: `"10240KB"`,
				Help: "Absolute limit: 552 5.3.4 and close. Not below max_size, unless that is unlimited."},
			{Name: "strict_size", Kind: KindBool, Default: `false`,
				Help: "Refuse a message above max_size: 552 5.3.4 at MAIL (SIZE=) or at the end of data."},
			{Name: "session_size_counts", Kind: KindEnum, Default: `"message"`, Values: []string{"message", "connection"},
				Help: "Whether max_session_size is counted for each message or summed over the connection."},
			{Name: "max_per_connection", Kind: KindInt, Default: `20`, Min: 1, Max: maxCount, Zero: "unlimited",
				Help: "Messages on one outbound connection; then further connections carry on, several at once if the queue is deep."},
			{Name: "max_recipients", Kind: KindInt, Default: `100`, Min: 1, Max: maxCount, Zero: "unlimited",
				Help: "Recipients of one message: 452 4.5.3 for those beyond; to another server they go in a further transaction."},
			{Name: "ndr_original_size", Kind: KindSize, Default: `"10MB"`, Min: 1, Max: maxSize, Zero: "off",
				Help: "An NDR returns the whole original up to this size, above it the header only; 0 or `off`: always the header only."},
			{Name: "ndr_copy_to", Kind: KindMailbox, Default: `""`, Example: `"postmaster@example.com"`,
				Help: "An address that gets a copy of each NDR."},
		},
	}
}

func foldersBlock() Block {
	folder := func(name, sub, help string) Setting {
		return Setting{Name: name, Kind: KindPath, Local: true, Follows: sub + " in data_directory/default", Restart: true, Help: help,
			Example: `"/srv/mailroot/` + sub + `"`}
	}
	return Block{
		Name: "folders", Help: "The folders: all different, none within another, and on this computer. Relative paths start at the folder of this file.", Restart: true,
		Settings: []Setting{
			folder("pickup", "Pickup", "Files put here are sent."),
			folder("queue", "Queue", "The spool: every message that waits."),
			folder("drop", "Drop", "Mail for local domains, one file a message."),
			folder("badmail", "Badmail", "What could neither be delivered nor returned."),
			folder("logs", "Logs", "The transaction log."),
		},
	}
}

func queueBlock() Block {
	return Block{
		Name: "queue", Help: "What the queue leaves of disk and memory. While there is less, new mail is refused with 452 4.3.1; delivery goes on.",
		Settings: []Setting{
			{Name: "min_free_space", Kind: KindSize, Default: `"256MB"`, Min: kib, Max: maxSize, Zero: "off",
				Help: "Free space of the queue's disk; mail is taken again when there is a quarter more. Half of it is kept for reports."},
			{Name: "min_free_files", Kind: KindInt, Default: `1000`, Min: 1, Max: maxCount, Zero: "off",
				Help: "Files (inodes) that can still be made on that disk, likewise. Windows has no such limit."},
			{Name: "memory", Kind: KindSize, Default: `"128MB"`, Follows: "at most a quarter of memory_limit", Min: 1 << 20, Max: maxSize,
				Help: "Memory of all messages that are coming in together; at seven eighths none begins until it is half."},
		},
	}
}

func badmailBlock() Block {
	return Block{
		Name: "badmail", Help: "Cleaning of the badmail folder, and when to warn about it.",
		Settings: []Setting{
			{Name: "max_age", Kind: KindTime, Default: `"off"`, Min: 3600, Max: 3650 * day, Zero: "off", Example: `"90d"`,
				Help: "Remove what is older, looked at every ten minutes."},
			{Name: "max_size", Kind: KindSize, Default: `"off"`, Min: kib, Max: maxSize, Zero: "off", Example: `"10GB"`,
				Help: "Remove the oldest when what this service put there is larger together."},
			{Name: "warn_messages", Kind: KindInt, Default: `1000`, Min: 1, Max: maxCount, Zero: "off",
				Help: "Warn when there are so many messages."},
			{Name: "warn_size", Kind: KindSize, Default: `"1GB"`, Min: kib, Max: maxSize, Zero: "off",
				Help: "Warn when all together is so large."},
		},
	}
}

func loggingBlock() Block {
	return Block{
		Name: "logging", Help: "The transaction log, written to folders.logs.",
		Settings: []Setting{
			{Name: "enabled", Kind: KindBool, Default: `true`,
				Help: "Write the transaction log."},
			{Name: "format", Kind: KindEnum, Default: `"w3c"`, Values: []string{"w3c", "iis", "ncsa", "odbc", "json"}, Later: []string{"iis", "ncsa", "odbc", "json"},
				Help: "W3C Extended, Microsoft IIS, NCSA Common, ODBC (SQL), or JSON lines."},
			{Name: "fields", Kind: KindTexts, Default: `["all"]`, Example: `["date", "time", "c-ip", "cs-method", "sc-status"]`, Missing: missLogs,
				Help: "Fields of the W3C format, by their original names."},
			{Name: "rollover", Kind: KindEnum, Default: `"daily"`, Values: []string{"hourly", "daily", "weekly", "monthly", "size", "never"}, Later: []string{"hourly", "weekly", "monthly", "size", "never"},
				Help: "When a new file begins."},
			{Name: "rollover_size", Kind: KindSize, Default: `"20MB"`, Min: 64 * kib, Max: maxSize, Missing: missLogs,
				Help: "With rollover by size: how large a file becomes."},
			{Name: "local_time", Kind: KindBool, Default: `false`, Missing: missLogs,
				Help: "Name files and begin new ones by local time instead of UTC."},
			{Name: "max_age", Kind: KindTime, Default: `"off"`, Min: day, Max: 3650 * day, Zero: "off", Example: `"90d"`, Missing: missLogs,
				Help: "Remove log files that are older."},
			{Name: "compress", Kind: KindBool, Default: `false`, Missing: missLogs,
				Help: "Compress log files that are finished."},
		},
		Blocks: []Block{{
			Name: "odbc", Help: "Where the ODBC (SQL) format writes.", Missing: missLogs,
			Settings: []Setting{
				{Name: "driver", Kind: KindEnum, Default: `"odbc"`, Values: []string{"odbc", "postgresql", "mysql", "sqlserver", "sqlite"},
					Help: "By ODBC, or by a driver of our own."},
				{Name: "dsn", Kind: KindText, Default: `""`, Example: `"HTTPLOG"`,
					Help: "Data source name."},
				{Name: "table", Kind: KindText, Default: `"InternetLog"`,
					Help: "Table with the 14 original columns."},
				{Name: "user", Kind: KindText, Default: `""`, Example: `"InternetAdmin"`,
					Help: "User of the database."},
				{Name: "password", Kind: KindText, Default: `""`, Example: `"…"`, Secret: true,
					Help: "Password of the database."},
			},
		}},
	}
}

func protocolBlock() Block {
	return Block{
		Name: "protocol", Help: "How the server speaks, and what delivery puts up with.",
		Settings: []Setting{
			{Name: "voice", Kind: KindEnum, Default: `"classic"`, Values: []string{"classic", "plain"},
				Help: "Wording of replies: as the original's, so that scripts which match them go on, or plain."},
			{Name: "banner", Kind: KindText, Default: `""`, Follows: "ESMTP MAIL Service ready at DATE", Max: 400, Example: `"ESMTP ready"`,
				Help: "What follows `220 FQDN ` in the banner."},
			{Name: "postmaster", Kind: KindMailbox, Default: `""`, Follows: "postmaster@ the default domain", Example: `"mailadmin@example.com"`,
				Help: "Where mail to `postmaster` without a domain goes."},
			{Name: "block_private_mx", Kind: KindBool, Default: `false`,
				Help: "Refuse (5.4.4) to deliver to MX hosts with private addresses."},
			{Name: "allow_loopback_mx", Kind: KindBool, Default: `false`,
				Help: "Deliver to MX hosts with loopback addresses, else 5.4.4; for tests."},
			{Name: "min_data_rate", Kind: KindSize, Default: `500`, Min: 1, Max: gib, Zero: "off",
				Help: "Octets per second, averaged over 60 s, that a client must send within DATA or BDAT; else 421 4.4.2."},
			{Name: "min_data_grace", Kind: KindTime, Default: `"30s"`, Min: 1, Max: day,
				Help: "How long min_data_rate is not asked for at the start of the data."},
			{Name: "turn", Kind: KindBool, Default: `false`, Missing: missTurn,
				Help: "Enable TURN, for authenticated clients."},
			{Name: "reencode_long_lines", Kind: KindBool, Default: `false`, Missing: missReencode,
				Help: "Re-encode text lines above 998 octets on the way out."},
			{Name: "ntlm_v1", Kind: KindBool, Default: `false`, Missing: missAuth,
				Help: "Accept NTLM version 1."},
		},
	}
}

func pickupBlock() Block {
	return Block{
		Name: "pickup", Help: "How files in the pickup folder are read.",
		Settings: []Setting{
			{Name: "dot_stuffed", Kind: KindBool, Default: `true`,
				Help: "A leading dot of a line is doubled in the files, as the original wants it, and a dot alone at the end is left out."},
		},
	}
}

func dropBlock() Block {
	return Block{
		Name: "drop", Help: "What the drop folder takes.",
		Settings: []Setting{
			{Name: "quota", Kind: KindSize, Default: `"off"`, Min: kib, Max: maxSize, Zero: "off", Example: `"1GB"`,
				Help: "Size of all files together; beyond it 452 4.2.2 for local recipients."},
			{Name: "recipients", Kind: KindTexts, Default: `[]`, Follows: "each local-part is accepted", Example: `["sales", "info"]`,
				Help: "The only local recipients that exist, by their local-part, or with a local domain, which stands for all of them; 550 5.1.1 for others. `postmaster` is always one."},
		},
	}
}

func trackingBlock() Block {
	return Block{
		Name: "tracking", Help: "The life of each message, searchable after it has left.", Missing: missTracking,
		Settings: []Setting{
			{Name: "keep", Kind: KindTime, Default: `"30d"`, Min: 3600, Max: 3650 * day, Zero: "off",
				Help: "How long it is kept."},
		},
	}
}

const maxSize = 1 << 40 // 1 TB, far above what SMTP is used for
