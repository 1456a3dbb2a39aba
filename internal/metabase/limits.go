package metabase

// What a file may ask for. Real ones stay far below: a server with a thousand sites has a MetaBase.xml of some ten megabytes.
const (
	maxInput    = 256 << 20 // octets that are read
	maxToken    = 1 << 20   // octets of one element with its attributes, or of one comment
	maxDepth    = 16        // elements within elements; the original has four
	maxElements = 4_000_000 // keys and <Custom> rows, those of other services included
	maxKept     = 16 << 20  // octets of the names and values that are kept
	maxKeys     = 50_000    // keys that are kept
	maxProps    = 400_000   // properties that are kept
	maxPath     = 1024      // octets of a Location
	maxLine     = 256 << 10 // octets of one line of ENUM text; a relay list of 10,000 addresses fits
	maxShown    = 120       // characters of a value in the report
	maxList     = 10_000    // addresses in a list, which is what a configuration file may hold
	maxServers  = 200       // virtual servers; a configuration file has no room for more
	maxBindings = 1_000     // of a virtual server
	maxReport   = 120_000   // lines of one part of the report, which is as many as come of as many domains as there can be; what is beyond is counted
	maxLines    = 2_000     // of what to look at first, and of what is odd; what is beyond is counted
)
