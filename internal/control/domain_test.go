package control

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/config"
)

const domainFile = `version = 1
virtual_server "default" {
  delivery {
    smart_host = ["smart.example"]
  }
  domain "*.deep.partner.example" {
    kind = "remote"
  }
  domain "bücher.example" {
    kind         = "alias"
    stamp_header = true
  }
  domain "*.partner.example" {
    kind  = "remote"
    route = ["[192.0.2.7]"]
  }
  domain "corp.example" {
    kind = "default"
  }
  domain "partner.example" {
    kind        = "remote"
    allow_relay = true
  }
}
`

func domainConfig(t *testing.T, src string) *config.VirtualServer {
	t.Helper()
	cfg, problems := config.Parse([]byte(src), "x.hcl")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return &cfg.VirtualServers[0]
}

func TestDomainListIsInTheOrderOfMatching(t *testing.T) {
	v := domainConfig(t, domainFile)
	for name, want := range map[string]string{
		"":                         "corp.example bücher.example partner.example *.deep.partner.example *.partner.example *",
		"x.deep.partner.example":   "*.deep.partner.example *.partner.example *",
		"deep.partner.example":     "*.partner.example *",
		"PARTNER.example":          "partner.example *",
		"xn--bcher-kva.example":    "bücher.example *",
		"elsewhere.example":        "*",
		"notpartner.example":       "*",
		"xdeep.partner.example":    "*.partner.example *",
		"a.b.deep.partner.example": "*.deep.partner.example *.partner.example *",
	} {
		list, err := DomainList(v, "host.example", name)
		var got []string
		for _, d := range list {
			got = append(got, d.Name)
		}
		if s := strings.Join(got, " "); s != want || err != nil {
			t.Errorf("%q: %s, %v; want %s", name, s, err, want)
		}
	}
	if _, err := DomainList(v, "", "not a name"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a name that is none: %v", err)
	}
	list, err := DomainList(domainConfig(t, "version = 1\nvirtual_server \"default\" {\n}\n"), "host.example", "")
	if err != nil || len(list) != 2 || list[0].Name != "host.example" || !list[0].Implied || list[1].NextHop != "mx" {
		t.Errorf("without entries: %+v, %v", list, err)
	}
}

// What a plan does to the file: what stays is compared as well.
func TestDomainPlans(t *testing.T) {
	host := func() string { return "host.example" }
	for name, tc := range map[string]struct {
		plan func(*config.VirtualServer) ([]config.Edit, error)
		src  string // "": domainFile
		want map[string]config.DomainKind
		err  error
		says string
	}{
		"another default": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainSetDefault(v, "xn--bcher-kva.example", host)
			},
			want: map[string]config.DomainKind{"bücher.example": "default", "corp.example": "alias"},
		},
		"a new default": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "New.example", host) },
			want: map[string]config.DomainKind{"new.example": "default", "corp.example": "alias"},
		},
		"the host's name was the default": {
			src:  "version = 1\nvirtual_server \"default\" {\n}\n",
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "new.example", host) },
			want: map[string]config.DomainKind{"new.example": "default", "host.example": "alias"},
		},
		"the host's name is made to stand there": {
			src:  "version = 1\nvirtual_server \"default\" {\n}\n",
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "HOST.example", host) },
			want: map[string]config.DomainKind{"host.example": "default"},
		},
		"the host's name is remote": {
			src:  "version = 1\nvirtual_server \"default\" {\n  domain \"host.example\" {\n    kind = \"remote\"\n  }\n}\n",
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "new.example", host) },
			want: map[string]config.DomainKind{"new.example": "default", "host.example": "remote"},
		},
		"default of a remote": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainSetDefault(v, "partner.example", host)
			},
			err: ErrInvalid, says: "is a remote domain",
		},
		"default of a wildcard": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "*.x.example", host) },
			err:  ErrInvalid, says: "is one name",
		},
		"default again": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainSetDefault(v, "CORP.example", host) },
			err:  ErrInvalid, says: "already",
		},
		"remove the default": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainRemove(v, "corp.example") },
			err:  ErrInvalid, says: "cannot be removed",
		},
		"remove nothing": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainRemove(v, "x.example") },
			err:  ErrNotFound, says: "has no x.example",
		},
		"remove": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainRemove(v, "*.Partner.example") },
			want: map[string]config.DomainKind{"*.partner.example": ""},
		},
		"add twice": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainAdd(v, "xn--bcher-kva.example", "remote", nil)
			},
			err: ErrInvalid, says: "bücher.example is in the domain list already",
		},
		"add with a path": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainAdd(v, "x.example", "remote", []string{`domain["corp.example"].kind=alias`})
			},
			err: ErrInvalid, says: "is not a setting of a domain",
		},
		"add a second default": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainAdd(v, "x.example", "alias", []string{"kind=default"})
			},
			err: ErrInvalid, says: "the kind of x.example is alias already",
		},
		"add of two kinds": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainAdd(v, "*.X.example", "remote", []string{"tls=required", ` kind = "alias"`})
			},
			err: ErrInvalid, says: "it is no setting here",
		},
		"add a local wildcard": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) { return DomainAdd(v, "*.x.example", "alias", nil) },
			err:  ErrInvalid, says: "is one name",
		},
		"add an address": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainAdd(v, "[192.0.2.1]", "remote", nil)
			},
			err: ErrInvalid, says: "is not a domain name",
		},
		"set a kind": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainSet(v, "*.deep.partner.example", []string{"route=mx.partner.example", "kind=remote"})
			},
			want: map[string]config.DomainKind{"*.deep.partner.example": "remote"},
		},
		"set the default's kind": {
			plan: func(v *config.VirtualServer) ([]config.Edit, error) {
				return DomainSet(v, "corp.example", []string{`kind="alias"`})
			},
			err: ErrInvalid, says: "make another one the default first",
		},
	} {
		src := tc.src
		if src == "" {
			src = domainFile
		}
		edits, err := tc.plan(domainConfig(t, src))
		if !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		out, _, err := config.Apply([]byte(src), "x.hcl", edits...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := map[string]config.DomainKind{}
		for n := range tc.want {
			got[n] = ""
		}
		for _, d := range domainConfig(t, string(out)).Domains {
			if _, ok := tc.want[d.Name]; ok {
				got[d.Name] = d.Kind
			}
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s\n%s", name, d, out)
		}
	}
}
