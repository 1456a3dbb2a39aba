// Package archtest holds the house to its plan (docs/ARCHITECTURE.md): which package may import
// which, what each must say of itself, and how large files and functions may grow. It has
// nothing but tests. Start reading at the table below.
package archtest

// room is a folder of internal/. What lies below it belongs to it, and the parts of a room may
// import one another.
type room struct {
	layer int
	// outside are the import paths that are not ours and not Go's own which the room may use,
	// the folders below them included. A dependency has one home.
	outside []string
}

// The layers. A room may import rooms of lower layers, within the limits of mayImport.
const (
	words    = iota // L0: what all others speak of
	grammar         // L1: formats and ports
	engines         // L2: one ability each
	flow            // L3: the way of a message
	house           // L4: the service
	surfaces        // L5: what people and programs see
	command         // L6: the command line
)

// rooms is the table. A folder of internal/ that is not in it fails the test: a new room is a
// decision, and its line here is part of it.
var rooms = map[string]room{
	"mail": {layer: words},
	"vfs":  {layer: words, outside: []string{"golang.org/x/sys"}},

	"smtp":    {layer: grammar, outside: []string{"golang.org/x/net/idna"}},
	"message": {layer: grammar, outside: []string{"golang.org/x/text"}},
	"sasl":    {layer: grammar},
	"dns":     {layer: grammar, outside: []string{"github.com/miekg/dns", "golang.org/x/net/dns", "golang.org/x/sys"}},
	"config":  {layer: grammar, outside: []string{"github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty", "golang.org/x/net/idna", "golang.org/x/sys"}},

	"listen":     {layer: engines, outside: []string{"golang.org/x/sys"}},
	"session":    {layer: engines},
	"policy":     {layer: engines},
	"rate":       {layer: engines},
	"account":    {layer: engines},
	"pressure":   {layer: engines},
	"keyring":    {layer: engines, outside: []string{"golang.org/x/net/idna"}},
	"credential": {layer: engines},
	"spool":      {layer: engines, outside: []string{"golang.org/x/sys"}},
	"route":      {layer: engines, outside: []string{"golang.org/x/net/idna"}},
	"tlspolicy":  {layer: engines},
	"smtpclient": {layer: engines},
	"sign":       {layer: engines},
	"report":     {layer: engines},
	"badmail":    {layer: engines},
	"pickup":     {layer: engines, outside: []string{"github.com/fsnotify/fsnotify", "golang.org/x/sys"}},
	"record":     {layer: engines},

	"intake":   {layer: flow},
	"queue":    {layer: flow},
	"delivery": {layer: flow, outside: []string{"golang.org/x/sys"}},

	"service": {layer: house, outside: []string{"golang.org/x/sys"}},
	"cluster": {layer: house},
	"control": {layer: house},

	"api":      {layer: surfaces, outside: []string{"github.com/Microsoft/go-winio", "golang.org/x/sys"}},
	"admin":    {layer: surfaces, outside: []string{"github.com/Microsoft/go-winio", "golang.org/x/sys"}},
	"oswrap":   {layer: surfaces, outside: []string{"golang.org/x/sys"}},
	"metabase": {layer: surfaces},

	"cli": {layer: command, outside: []string{"github.com/alecthomas/kong", "golang.org/x/sys"}},
}

// mayImport says whether the room from may import the room to, and why not.
func mayImport(from, to string) (ok bool, why string) {
	f, t := rooms[from], rooms[to]
	switch {
	case from == to:
		return true, ""
	case to == "config" && f.layer < house:
		return false, "configuration is data for the service; what is below it gets Options"
	case f.layer == words:
		return false, "the words of L0 import the standard library only"
	case f.layer == surfaces && t.layer == surfaces:
		return to == "api", "surfaces do not know one another, but for api"
	case f.layer == surfaces && to != "control" && to != "config" && to != "mail":
		return false, "surfaces import control, config, mail and api only"
	case f.layer == command && t.layer < house && to != "config" && to != "mail":
		return false, "the command line starts the service and asks it; it does not open the engines"
	case f.layer == house && t.layer == house:
		return true, "" // Go itself forbids cycles
	case t.layer >= f.layer:
		return false, "imports go down, and rooms of one layer do not know one another"
	}
	return true, ""
}
