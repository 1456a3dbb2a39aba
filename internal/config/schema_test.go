package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schemaNode is a block of the schema with the type of its struct, nil where it has none.
type schemaNode struct {
	path    string
	block   *Block
	typ     reflect.Type
	missing bool
}

func schemaNodes() []schemaNode {
	root := Schema()
	var all []schemaNode
	var visit func(n schemaNode)
	visit = func(n schemaNode) {
		all = append(all, n)
		for i := range n.block.Blocks {
			b := &n.block.Blocks[i]
			sub := schemaNode{path: joinPath(n.path, b.Name), block: b, missing: n.missing || b.Missing != ""}
			if f, ok := taggedField(n.typ, b.Name); ok {
				sub.typ = f.Type
				if b.Label != "" {
					sub.typ = f.Type.Elem()
				}
			}
			visit(sub)
		}
	}
	visit(schemaNode{block: &root, typ: reflect.TypeFor[Config]()})
	return all
}

func taggedField(t reflect.Type, name string) (reflect.StructField, bool) {
	if t == nil {
		return reflect.StructField{}, false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("conf") == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

// TestSchemaAndStructs: a setting or block has a field exactly when it can be used, and every
// field with a tag is a setting or block.
func TestSchemaAndStructs(t *testing.T) {
	for _, n := range schemaNodes() {
		names := map[string]bool{labelTag: n.block.Label != ""}
		check := func(name string, available bool) {
			if names[name] {
				t.Errorf("%s: two things have the name %s", n.path, name)
			}
			names[name] = true
			if _, ok := taggedField(n.typ, name); ok != (available && !n.missing) {
				t.Errorf("%s: has a field: %v, can be used: %v", joinPath(n.path, name), ok, available)
			}
		}
		for i := range n.block.Settings {
			check(n.block.Settings[i].Name, n.block.Settings[i].Available())
		}
		for i := range n.block.Blocks {
			check(n.block.Blocks[i].Name, n.block.Blocks[i].Available())
		}
		if n.typ == nil {
			continue
		}
		for i := range n.typ.NumField() {
			if tag := n.typ.Field(i).Tag.Get("conf"); tag != "" && !names[tag] {
				t.Errorf("%s: the field %s is of no setting", n.path, n.typ.Field(i).Name)
			}
		}
	}
}

// TestSettingsAreComplete: each descriptor says what people need, and its own default and
// example pass its own rules.
func TestSettingsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	sentence := func(path, help string) {
		if help == "" || strings.Contains(help, "\n") || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: the help is not one line that ends in a full stop: %q", path, help)
		}
	}
	for _, n := range schemaNodes() {
		sentence(n.path, n.block.Help)
		if n.block.Label != "" {
			if _, m, _ := n.block.canonicalLabel(n.block.Example); m != "" {
				t.Errorf("%s: the example %s: %s", n.path, n.block.Example, m)
			}
		}
		for i := range n.block.Settings {
			s := &n.block.Settings[i]
			path := joinPath(n.path, s.Name)
			sentence(path, s.Help)
			if !name.MatchString(s.Name) || s.Kind.String() == "unknown" {
				t.Errorf("%s: name or kind", path)
			}
			if s.Default == "" && s.Follows == "" && !s.Required {
				t.Errorf("%s: neither a default, nor what it follows, nor required", path)
			}
			if (s.Kind == KindEnum || s.Kind == KindEnums) != (len(s.Values) > 0) {
				t.Errorf("%s: words and kind do not fit", path)
			}
			if s.Kind == KindInt && s.Max == 0 && path != "version" {
				t.Errorf("%s: no upper bound", path)
			}
			for _, later := range s.Later {
				if !slices.Contains(s.Values, later) {
					t.Errorf("%s: %s is not among the values", path, later)
				}
			}
			def := s.defaultInForce()
			if s.Kind == KindHostName && s.blankDefault() {
				def = "" // it stands for no name, which a file says by leaving the line out
			}
			for _, text := range []string{def, s.Example, s.sample()} {
				checkSample(t, path, s, text)
			}
		}
	}
}

func checkSample(t *testing.T, path string, s *Setting, text string) {
	t.Helper()
	if text == "" {
		return
	}
	l, f := parseLiteral(text)
	if f != nil {
		t.Errorf("%s: %s: %s", path, text, f.message)
		return
	}
	v, faults := s.decode(l, "")
	for _, f := range faults {
		t.Errorf("%s: %s: %s", path, text, f.message)
	}
	if v == nil {
		return
	}
	again, f := parseLiteral(s.format(v))
	if f != nil {
		t.Errorf("%s: formatted as %s: %s", path, s.format(v), f.message)
		return
	}
	if w, faults := s.decode(again, ""); len(faults) > 0 || !reflect.DeepEqual(v, w) {
		t.Errorf("%s: %s becomes %s", path, text, s.format(v))
	}
}

// TestAvailable pins what this version can do: an engine that comes or goes must change it.
func TestAvailable(t *testing.T) {
	want := strings.Fields(`
		version data_directory memory_limit dns.servers dns.timeout control.socket control.group
		virtual_server.description virtual_server.fqdn virtual_server.binding.tls virtual_server.binding.profile
		virtual_server.connections.inbound_limit virtual_server.connections.inbound_timeout
		virtual_server.connections.inbound_per_address virtual_server.connections.inbound_per_network
		virtual_server.connections.outbound_limit virtual_server.connections.outbound_timeout
		virtual_server.connections.outbound_per_domain virtual_server.connections.outbound_port
		virtual_server.messages.max_size virtual_server.messages.max_session_size virtual_server.messages.strict_size
		virtual_server.messages.ndr_original_size virtual_server.messages.ndr_copy_to
		virtual_server.messages.session_size_counts virtual_server.messages.max_per_connection
		virtual_server.messages.max_recipients
		virtual_server.folders.pickup virtual_server.folders.queue virtual_server.folders.drop virtual_server.folders.badmail virtual_server.folders.logs
		virtual_server.delivery.smart_host virtual_server.delivery.direct_first virtual_server.delivery.max_hops
		virtual_server.delivery.hop_reply virtual_server.delivery.reverse_dns virtual_server.delivery.reverse_dns_timeout
		virtual_server.delivery.complete_header
		virtual_server.delivery.local.max_retries virtual_server.delivery.local.retry_intervals
		virtual_server.delivery.local.delay_notice_after virtual_server.delivery.local.expire_after
		virtual_server.delivery.remote.max_retries virtual_server.delivery.remote.retry_intervals
		virtual_server.delivery.remote.delay_notice_after virtual_server.delivery.remote.expire_after
		virtual_server.delivery.outbound_security.auth virtual_server.delivery.outbound_security.tls
		virtual_server.domain.kind virtual_server.domain.route virtual_server.domain.allow_relay
		virtual_server.domain.send_helo virtual_server.domain.tls virtual_server.domain.max_connections
		virtual_server.access.authentication virtual_server.access.certificate virtual_server.access.private_key
		virtual_server.access.require_tls
		virtual_server.access.connection_control.mode virtual_server.access.connection_control.list
		virtual_server.access.relay.mode virtual_server.access.relay.list
		virtual_server.logging.enabled virtual_server.logging.format virtual_server.logging.rollover
		virtual_server.protocol.voice virtual_server.protocol.banner virtual_server.protocol.postmaster
		virtual_server.protocol.block_private_mx virtual_server.protocol.allow_loopback_mx
		virtual_server.protocol.min_data_rate virtual_server.protocol.min_data_grace
		virtual_server.queue.memory virtual_server.queue.min_free_files virtual_server.queue.min_free_space
		virtual_server.badmail.max_age virtual_server.badmail.max_size
		virtual_server.badmail.warn_messages virtual_server.badmail.warn_size
		virtual_server.delivery.masquerade_domain virtual_server.domain.stamp_header
		virtual_server.drop.quota virtual_server.drop.recipients
		virtual_server.pickup.dot_stuffed`)
	var got []string
	for _, n := range schemaNodes() {
		for i := range n.block.Settings {
			if s := &n.block.Settings[i]; s.Available() && !n.missing {
				got = append(got, joinPath(n.path, s.Name))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("what can be used changed:\n%s", LineDiff([]byte(strings.Join(want, "\n")), []byte(strings.Join(got, "\n"))))
	}
}

// TestRestart: what cannot change while the service runs says so.
func TestRestart(t *testing.T) {
	for _, n := range schemaNodes() {
		for i := range n.block.Settings {
			s := &n.block.Settings[i]
			path := joinPath(n.path, s.Name)
			want := path == "data_directory" || strings.HasPrefix(path, "control.") || strings.HasPrefix(path, "console.") ||
				strings.HasPrefix(path, "virtual_server.folders.")
			if s.Restart != want {
				t.Errorf("%s: needs a restart: %v", path, s.Restart)
			}
		}
	}
}

// TestMissingIsRefused sets every setting without an engine to its default, which is refused
// by name, and so is every block without one.
func TestMissingIsRefused(t *testing.T) {
	count := 0
	for _, n := range schemaNodes() {
		for i := range n.block.Settings {
			s := &n.block.Settings[i]
			if s.Available() && !n.missing {
				continue
			}
			count++
			src := wrap(n, "  "+s.Name+" = "+s.sample())
			cfg, problems := Parse([]byte(src), "x.hcl")
			if cfg != nil || !strings.Contains(problems.String(), notAvailable) {
				t.Errorf("%s is not refused: %s\n%s", joinPath(n.path, s.Name), problems, src)
			}
			if s.Secret && strings.Contains(problems.String(), "…") {
				t.Errorf("%s: the secret is shown: %s", joinPath(n.path, s.Name), problems)
			}
			if errs := problems.Errors(); len(errs) != 1 && !(n.block.Name == "domain" && len(errs) <= 2) {
				t.Errorf("%s: %d errors for one line:\n%s", joinPath(n.path, s.Name), len(errs), problems)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d settings were tried", count)
	}
}

// wrap puts a line into the block of a node, with the blocks around it.
func wrap(n schemaNode, line string) string {
	root := Schema()
	at := &root
	head, tail := "", ""
	if n.path != "" {
		for name := range strings.SplitSeq(n.path, ".") {
			at = at.block(name)
			head += at.head(at.Example) + "\n"
			tail += "}\n"
			if at.Name == "domain" {
				head += "kind = \"remote\"\n"
			}
		}
	}
	return head + line + "\n" + tail
}

// What Refuses says of a value is what Parse says of it.
func TestRefuses(t *testing.T) {
	root := Schema()
	server := root.block(serverBlock)
	for _, c := range []struct {
		block, name, value, want string
	}{
		{"connections", "inbound_limit", "5", ""},
		{"connections", "inbound_limit", "-5", "a whole number from 1 to 1000000"},
		{"connections", "inbound_limit", "5 +", "not a value"},
		{"delivery", "smart_host", `["[192.0.2.1]:25"]`, ""},
		{"delivery", "smart_host", `["[192.0.2.1"]`, "a closing ] is missing"},
		{"delivery", "masquerade_domain", `"localhost"`, ""}, // a warning
		{"access", "basic_domain", `"CORP"`, ""},             // its engine is missing
		{"logging", "format", `"ncsa"`, "not available in this version"},
	} {
		if got := server.block(c.block).setting(c.name).Refuses(c.value); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s = %s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
	if m := server.block("domain").RefusesLabel("*.example.org"); m != "" {
		t.Error(m)
	}
	if m := server.block("binding").RefusesLabel("localhost:25"); m == "" {
		t.Error("localhost:25 was taken for a binding")
	}
}
