package config

import "slices"

// Kind is the type of a setting's value.
type Kind uint8

// The kinds. How each is written stands in its description; see Kind.String.
const (
	KindBool     Kind = iota + 1 // true or false
	KindInt                      // a whole number
	KindSize                     // octets: 2048KB, 10MB, 1GB or a bare number
	KindTime                     // 600s, 60m, 12h, 2d, or a sum such as 1d12h
	KindEnum                     // one of Setting.Values
	KindText                     // printable text
	KindPath                     // a file or folder
	KindHostName                 // a host name
	KindMailbox                  // local-part@domain
	KindEnums                    // a list of KindEnum
	KindTimes                    // a list of KindTime
	KindTexts                    // a list of KindText
	KindHosts                    // a list of next hops: host, host:port, ip, [ip], [ip]:port
	KindServers                  // a list of addresses with port, 53 when left out
	KindNetworks                 // a list of addresses and networks
)

var kindNames = [...]string{
	KindBool: "true or false", KindInt: "number", KindSize: "size", KindTime: "time",
	KindEnum: "word", KindText: "text", KindPath: "path", KindHostName: "host name",
	KindMailbox: "mail address", KindEnums: "list of words",
	KindTimes: "list of times", KindTexts: "list of texts", KindHosts: "list of hosts",
	KindServers: "list of servers", KindNetworks: "list of addresses and networks",
}

// String returns the kind in words for people.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// List reports whether the value is a list.
func (k Kind) List() bool { return k >= KindEnums }

// Setting describes one setting. Default and Example are literals as the file has them.
type Setting struct {
	Name    string
	Kind    Kind
	Default string // "" when there is none
	Follows string // in words, what the value follows when it is left out; may stand beside Default
	Help    string // one line
	Example string // "" when Default serves as one

	// Min and Max bound numbers, octets (KindSize) and seconds (KindTime, KindTimes).
	// A Max of 0 means none. For lists of other kinds Min is the least number of entries.
	Min, Max int64
	Zero     string   // the word for "no limit", which 0 means too: "unlimited" or "off"; "" where there is no such value
	Values   []string // KindEnum, KindEnums: what may be written
	Later    []string // those of Values whose engine is missing; Default may hold some, which then are not in force
	Local    bool     // KindPath: a folder of this computer

	ForKind  string // in a domain block: the kind it is for; "": all
	Missing  string // the engine that is missing; "" when the setting can be used
	Restart  bool   // a change works only after a restart of the service
	Required bool   // there is no default, and a block without it is an error
	Secret   bool   // never shown
}

// Available reports whether the setting can be used in this version.
func (s *Setting) Available() bool { return s.Missing == "" }

// Block describes a block: the file itself, or one such as connections { … }.
type Block struct {
	Name     string
	Label    string // what the label is, in words: "address:port"; "" when the block has none and may stand once
	Example  string // of a label
	Help     string
	Missing  string // the engine that is missing, for all that is within
	Restart  bool   // to add or remove one works only after a restart
	Settings []Setting
	Blocks   []Block
}

// Available reports whether the block can be used in this version.
func (b *Block) Available() bool { return b.Missing == "" }

func (b *Block) setting(name string) *Setting {
	i := slices.IndexFunc(b.Settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &b.Settings[i]
}

func (b *Block) block(name string) *Block {
	i := slices.IndexFunc(b.Blocks, func(s Block) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &b.Blocks[i]
}

// Refuses says why the setting cannot have a value, "" when it can. The value is written as the file has it. That an engine is
// missing, or what other settings say, makes no difference.
func (s *Setting) Refuses(value string) string {
	l, f := parseLiteral(value)
	if f != nil {
		return f.message
	}
	_, faults := s.decode(l, "")
	for _, f := range faults {
		if f.severity != SeverityWarning {
			return f.message
		}
	}
	return ""
}

// RefusesLabel says why the block cannot have a label, "" when it can.
func (b *Block) RefusesLabel(label string) string {
	_, message, _ := b.canonicalLabel(label)
	return message
}

// Schema returns the tree of all blocks and settings, in the order in which the manual and the
// first file have them. The root stands for the file. The caller owns the result.
func Schema() Block {
	return Block{
		Help: "The file.",
		Settings: []Setting{
			{Name: "version", Kind: KindInt, Default: "1", Min: 1,
				Help: "Version of this file's schema; written by `mailroot init`."},
			{Name: "data_directory", Kind: KindPath, Local: true, Default: quote(DefaultDataDirectory()), Restart: true,
				Example: `"/srv/mailroot"`,
				Help:    "Where queue, folders and logs live. Relative paths start at the folder of this file."},
			{Name: "memory_limit", Kind: KindSize, Default: `"auto"`, Min: 64 << 20, Max: maxSize, Zero: "auto", Example: `"2GB"`,
				Help: "Memory that the process may use; `auto`: GOMEMLIMIT, else nine tenths of what the control group (container, systemd unit) or the machine has. From four fifths of it on new mail is refused (452 4.3.1), from nine tenths on new connections too (421 4.3.2)."},
		},
		Blocks: []Block{
			dnsBlock(), controlBlock(), consoleBlock(), virtualServerBlock(),
		},
	}
}

// SchemaVersion is the version of the file's schema that this program reads and writes.
const SchemaVersion = 1

// The engines that do not exist yet, as people are told.
const (
	missConsole    = "the web console"
	missRates      = "rate limits"
	missPacing     = "pacing of next hops"
	missAuth       = "authentication of clients"
	missOutAuth    = "authentication to next hops"
	missTLSPolicy  = "DANE and MTA-STS"
	missTLSOptions = "choice of TLS versions and ciphers"
	missProxy      = "the PROXY protocol"
	missETRN       = "ETRN and ATRN"
	missOperators  = "operators"
	missRules      = "sender rules"
	missLogs       = "further log formats, fields and rollover"
	missTurn       = "TURN"
	missReencode   = "re-encoding of long lines"
	missTracking   = "tracking"
)
