package config

import (
	"net/netip"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Config is the meaning of one configuration file, complete: what the file leaves out has its
// default, and values that follow others are worked out. It does not change after Parse, so
// it may be shared; who wants another one parses again.
//
// The conf tags tie a field to the setting or block of that name in Schema. Sizes are octets.
// Of limits, 0 means no limit where the field says so.
type Config struct {
	Version        int             `conf:"version"`        // of the file's schema: 1
	DataDirectory  string          `conf:"data_directory"` // absolute when read by Load
	MemoryLimit    int64           `conf:"memory_limit"`   // 0: what the system lets the process have
	DNS            DNS             `conf:"dns"`
	Control        Control         `conf:"control"`
	VirtualServers []VirtualServer `conf:"virtual_server"` // at least "default", which comes first

	file    string            // the name given to Parse
	origins map[string]Origin // by full path; paths that are absent have their default
}

// DNS says whom to ask for names.
type DNS struct {
	Servers []netip.AddrPort `conf:"servers"` // none: those of the operating system
	Timeout time.Duration    `conf:"timeout"` // for one question to one server
}

// Control is the local socket by which the command line reaches the running service.
type Control struct {
	Socket string `conf:"socket"` // path of a Unix socket, or name of a Windows pipe
	Group  string `conf:"group"`  // whose members may use it; "": the group of the service's account
}

// VirtualServer is one SMTP service with bindings, limits, folders and rules of its own.
type VirtualServer struct {
	Name        string      `conf:",label"`
	Description string      `conf:"description"`
	FQDN        string      `conf:"fqdn"`    // "": the host's DNS name
	Bindings    []Binding   `conf:"binding"` // at least one
	Connections Connections `conf:"connections"`
	Messages    Messages    `conf:"messages"`
	Folders     Folders     `conf:"folders"`
	Queue       Queue       `conf:"queue"`
	Delivery    Delivery    `conf:"delivery"`
	Domains     []Domain    `conf:"domain"` // in the order of the file
	Access      Access      `conf:"access"`
	Logging     Logging     `conf:"logging"`
	Protocol    Protocol    `conf:"protocol"`
	Pickup      Pickup      `conf:"pickup"`
	Badmail     Badmail     `conf:"badmail"`
	Drop        Drop        `conf:"drop"`
}

// Binding is an address and port to listen on.
type Binding struct {
	// Address is the label in canonical form: "192.0.2.1:25", "[2001:db8::1]:25", or "*:25".
	Address string `conf:",label"`
	// IP is the address to listen on. The zero Addr stands for all addresses of both
	// families ("*"); 0.0.0.0 for all of IPv4 only and :: for all of IPv6 only.
	IP      netip.Addr
	Port    uint16     // 0: any free port, which only tests want
	TLS     BindingTLS `conf:"tls"`
	Profile Profile    `conf:"profile"`
}

// BindingTLS says how TLS begins on a binding.
type BindingTLS string

// The values of BindingTLS. With TLSStartTLS and no certificate STARTTLS is not offered.
const (
	TLSNone     BindingTLS = "none"
	TLSStartTLS BindingTLS = "starttls"
	TLSImplicit BindingTLS = "implicit"
)

// Profile says who the clients of a binding are; it sets how strictly they are read.
type Profile string

// The values of Profile.
const (
	ProfileInternal   Profile = "internal"
	ProfileInternet   Profile = "internet"
	ProfileSubmission Profile = "submission"
)

// Connections holds the limits of connections.
type Connections struct {
	InboundLimit      int           `conf:"inbound_limit"` // 0: no limit
	InboundTimeout    time.Duration `conf:"inbound_timeout"`
	InboundPerAddress int           `conf:"inbound_per_address"` // 0: no limit
	InboundPerNetwork int           `conf:"inbound_per_network"` // of a /24 or /64; 0: no limit
	OutboundLimit     int           `conf:"outbound_limit"`      // 0: no limit
	OutboundTimeout   time.Duration `conf:"outbound_timeout"`
	OutboundPerDomain int           `conf:"outbound_per_domain"` // 0: no limit of its own
	OutboundPort      int           `conf:"outbound_port"`
}

// Messages holds the limits of messages.
type Messages struct {
	MaxSize           int64         `conf:"max_size"`         // preferred limit; 0: none
	MaxSessionSize    int64         `conf:"max_session_size"` // absolute limit; 0: none
	StrictSize        bool          `conf:"strict_size"`      // MaxSize is absolute too
	SessionSizeCounts SessionCounts `conf:"session_size_counts"`
	MaxPerConnection  int           `conf:"max_per_connection"` // outbound; 0: no limit
	MaxRecipients     int           `conf:"max_recipients"`     // 0: no limit
	NDROriginalSize   int64         `conf:"ndr_original_size"`  // 0: the header only
	NDRCopyTo         mail.Address  `conf:"ndr_copy_to"`        // null: no copy
}

// SessionCounts says over what the session size is summed.
type SessionCounts string

// The values of SessionCounts.
const (
	CountsMessage    SessionCounts = "message"
	CountsConnection SessionCounts = "connection"
)

// Folders are the directories of a virtual server, all different and none within another. They are absolute when the
// file was read by Load.
type Folders struct {
	Pickup  string `conf:"pickup"`
	Queue   string `conf:"queue"`
	Drop    string `conf:"drop"`
	Badmail string `conf:"badmail"`
	Logs    string `conf:"logs"`
}

// Pickup says how the files in Folders.Pickup are read.
type Pickup struct {
	DotStuffed bool `conf:"dot_stuffed"` // leading dots of lines are doubled
}

// Delivery says how messages leave.
type Delivery struct {
	SmartHost         []mail.Host      `conf:"smart_host"` // in order of preference; none: by DNS
	DirectFirst       bool             `conf:"direct_first"`
	MaxHops           int              `conf:"max_hops"`
	HopReply          HopReply         `conf:"hop_reply"`
	ReverseDNS        bool             `conf:"reverse_dns"`
	ReverseDNSTimeout time.Duration    `conf:"reverse_dns_timeout"`
	CompleteHeader    bool             `conf:"complete_header"`
	MasqueradeDomain  string           `conf:"masquerade_domain"` // "": none
	Local             Retry            `conf:"local"`
	Remote            Retry            `conf:"remote"`
	OutboundSecurity  OutboundSecurity `conf:"outbound_security"`
}

// HopReply says what becomes of a message with too many Received fields.
type HopReply string

// The values of HopReply.
const (
	HopAccept HopReply = "accept" // taken, then an NDR with 5.4.6
	HopReject HopReply = "reject" // 554 5.4.6 at the end of data
)

// Retry says how often and when a delivery is tried again.
type Retry struct {
	MaxRetries       int             `conf:"max_retries"`        // attempts in all, the first included
	RetryIntervals   []time.Duration `conf:"retry_intervals"`    // at least one; the last repeats
	DelayNoticeAfter time.Duration   `conf:"delay_notice_after"` // 0: never
	ExpireAfter      time.Duration   `conf:"expire_after"`       // 0: never by age
}

// OutboundSecurity says how we appear before next hops.
type OutboundSecurity struct {
	Auth OutboundAuth `conf:"auth"`
	TLS  OutboundTLS  `conf:"tls"`
}

// OutboundAuth is the way to authenticate to a next hop.
type OutboundAuth string

// AuthNone is the one value of OutboundAuth that has an engine.
const AuthNone OutboundAuth = "none"

// OutboundTLS is the demand on TLS towards a next hop.
type OutboundTLS string

// The values of OutboundTLS.
const (
	OutboundOpportunistic OutboundTLS = "opportunistic"
	OutboundRequired      OutboundTLS = "required"
	OutboundVerified      OutboundTLS = "verified"
	OutboundOff           OutboundTLS = "off"
)

// Domain is an entry for a local or remote domain.
type Domain struct {
	// Name is in lower case, as written else (no conversion of U-labels). With a leading
	// "*." it stands for all names below, but not for the name itself.
	Name string     `conf:",label"`
	Kind DomainKind `conf:"kind"`

	// The rest is for KindRemote only.
	Route          []mail.Host `conf:"route"` // none: the smart host, or DNS
	AllowRelay     bool        `conf:"allow_relay"`
	SendHELO       bool        `conf:"send_helo"`
	TLS            OutboundTLS `conf:"tls"`             // left out: that of outbound_security
	MaxConnections int         `conf:"max_connections"` // left out: outbound_per_domain; 0: no limit of its own

	// StampHeader is for KindAlias only.
	StampHeader bool `conf:"stamp_header"` // header addresses are rewritten to the default domain, too
}

// DomainKind says what a domain is to us.
type DomainKind string

// The values of DomainKind. At most one entry is KindDefault; without one the host's DNS name
// is the default domain.
const (
	KindDefault DomainKind = "default"
	KindAlias   DomainKind = "alias"
	KindRemote  DomainKind = "remote"
)

// Access says who may connect and who may relay.
type Access struct {
	Authentication    []string    `conf:"authentication"` // what is in force: "anonymous" only, so far
	Certificate       string      `conf:"certificate"`    // path of a PEM file; "": no TLS for clients
	PrivateKey        string      `conf:"private_key"`    // path of a PEM file
	RequireTLS        bool        `conf:"require_tls"`
	ConnectionControl AddressList `conf:"connection_control"`
	Relay             AddressList `conf:"relay"`
}

// AddressList is a rule over client addresses.
type AddressList struct {
	Mode ListMode       `conf:"mode"`
	List []netip.Prefix `conf:"list"` // masked; a single address has its full length
}

// ListMode says how to read an AddressList.
type ListMode string

// The values of ListMode.
const (
	ListOnly      ListMode = "only"       // those on the list
	ListAllExcept ListMode = "all_except" // everybody but those on the list
)

// Logging is the transaction log. It is written to Folders.Logs.
type Logging struct {
	Enabled  bool        `conf:"enabled"`
	Format   LogFormat   `conf:"format"`
	Rollover LogRollover `conf:"rollover"`
}

// LogFormat is the format of the transaction log.
type LogFormat string

// FormatW3C is the one value of LogFormat that has an engine.
const FormatW3C LogFormat = "w3c"

// LogRollover says when a new log file begins.
type LogRollover string

// RolloverDaily is the one value of LogRollover that has an engine: at midnight UTC.
const RolloverDaily LogRollover = "daily"

// Protocol is how the server half speaks, and what delivery puts up with.
type Protocol struct {
	Voice           Voice         `conf:"voice"`
	Banner          string        `conf:"banner"`     // what follows "220 FQDN "; "": that of the voice
	Postmaster      mail.Address  `conf:"postmaster"` // null: postmaster@ the default domain
	BlockPrivateMX  bool          `conf:"block_private_mx"`
	AllowLoopbackMX bool          `conf:"allow_loopback_mx"`
	MinDataRate     int64         `conf:"min_data_rate"`  // octets per second; 0: no minimum
	MinDataGrace    time.Duration `conf:"min_data_grace"` // from the start of the data
}

// Voice is the wording of replies.
type Voice string

// The values of Voice.
const (
	VoiceClassic Voice = "classic"
	VoicePlain   Voice = "plain"
)

// Queue says what the queue leaves of disk and memory.
type Queue struct {
	MinFreeSpace int64 `conf:"min_free_space"` // octets of the disk; 0: all may be used
	MinFreeFiles int64 `conf:"min_free_files"` // 0: all may be used
	Memory       int64 `conf:"memory"`         // of messages coming in
}

// Badmail says when the badmail folder is cleaned, and when to warn about it. Of all fields 0 means never.
type Badmail struct {
	MaxAge       time.Duration `conf:"max_age"`
	MaxSize      int64         `conf:"max_size"`
	WarnMessages int           `conf:"warn_messages"`
	WarnSize     int64         `conf:"warn_size"`
}

// Drop says what the drop folder takes.
type Drop struct {
	Quota      int64    `conf:"quota"`      // 0: none
	Recipients []string `conf:"recipients"` // local-parts, or local-part@local-domain; none: each local-part is taken
}

// Server returns the virtual server of that name, or nil.
func (c *Config) Server(name string) *VirtualServer {
	for i := range c.VirtualServers {
		if c.VirtualServers[i].Name == name {
			return &c.VirtualServers[i]
		}
	}
	return nil
}

// File returns the name that the configuration was read under, "" for Default.
func (c *Config) File() string { return c.file }

// DefaultDomain returns the name of the default domain as set, or "" when the host's DNS name
// is to be used.
func (v *VirtualServer) DefaultDomain() string {
	for i := range v.Domains {
		if v.Domains[i].Kind == KindDefault {
			return v.Domains[i].Name
		}
	}
	return ""
}
