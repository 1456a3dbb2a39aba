package metabase

import (
	"slices"
	"strings"
)

// Fate says what becomes of a property.
type Fate string

// The fates.
const (
	Taken    Fate = "taken"     // it becomes a setting that means the same
	Changed  Fate = "changed"   // it becomes a setting that means nearly the same; Property.Why says what differs
	NotTaken Fate = "not taken" // nothing becomes of it; Property.Why says why
)

// Property is a row of the table of all that the original could be told: what it is called, and
// what becomes of it.
type Property struct {
	Name string
	ID   uint32 // in <Custom> rows; 0: not known, it is found by its name alone
	// Default is the value of the original's schema, which counts where the file has none; "" where the
	// schema names none. It often differs from what set-up wrote.
	Default string
	Fate    Fate
	// Setting is what it becomes, as a path within virtual_server; with "domain." in front within the
	// block of a domain. "" when nothing becomes of it.
	Setting string
	Why     string // of Changed and NotTaken, for people
	Secret  bool   // its value is never shown, nor written
	// Guards is the type of a property that says who is let in, or what goes inside TLS: "DWORD", "MULTISZ" or "BINARY"; "" for all others. What
	// is odd about one that guards lets nobody in, and nothing out in clear.
	Guards string
}

// ofAccess reports whether it says who is let in to a virtual server.
func (p *Property) ofAccess() bool { return p.Guards != "" && strings.HasPrefix(p.Setting, "access.") }

// wrongType says that the <Custom> row of a property that guards has a type by which the old service did not find it.
func (p *Property) wrongType(row Prop) string {
	if p.Guards == "" || !row.Custom || row.Type == "" {
		return ""
	}
	right := map[string][]string{
		"DWORD": {"DWORD", "INTEGER", "BOOL", "BOOLEAN"}, "MULTISZ": {"MULTISZ", "LIST"}, "BINARY": {"BINARY", "IPSECLIST", "IPSEC"},
	}
	if slices.Contains(right[p.Guards], row.Type) {
		return ""
	}
	return "its row has the type " + shown(row.Type) + ", not " + p.Guards
}

// Properties returns the table: each property of the SMTP service and of what it shares with the other
// services of its time, in groups as the original's sheets had them. The caller owns the result.
func Properties() []Property {
	return slices.Concat(generalProperties(), messageProperties(), folderProperties(), deliveryProperties(),
		retryProperties(), securityProperties(), accessProperties(), loggingProperties(), protocolProperties(),
		plumbingProperties(), routingProperties(), registryValues())
}

// table finds properties by name, in any case, and by id.
type table struct {
	rows   []Property
	byName map[string]*Property
	byID   map[uint32]*Property
}

func newTable() *table {
	t := &table{rows: Properties(), byName: make(map[string]*Property), byID: make(map[uint32]*Property)}
	for i := range t.rows {
		p := &t.rows[i]
		t.byName[strings.ToLower(p.Name)] = p
		if p.ID != 0 {
			t.byID[p.ID] = p
		}
	}
	return t
}

// find returns the row of a property by its name, else by its id, or nil.
func (t *table) find(name string, id uint32) *Property {
	if p := t.byName[strings.ToLower(name)]; p != nil {
		return p
	}
	if id == 0 {
		return nil
	}
	return t.byID[id]
}

func taken(name string, id uint32, def, setting string) Property {
	return Property{Name: name, ID: id, Default: def, Fate: Taken, Setting: setting}
}

// guards marks a property as one that guards, of that type.
func guards(kind string, p Property) Property {
	p.Guards = kind
	return p
}

func changed(name string, id uint32, def, setting, why string) Property {
	return Property{Name: name, ID: id, Default: def, Fate: Changed, Setting: setting, Why: why}
}

func notTaken(name string, id uint32, why string) Property {
	return Property{Name: name, ID: id, Fate: NotTaken, Why: why}
}

func secret(name string, id uint32, setting, why string) Property {
	return Property{Name: name, ID: id, Fate: NotTaken, Setting: setting, Why: why, Secret: true}
}
