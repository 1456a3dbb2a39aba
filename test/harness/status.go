package harness

import "encoding/json"

// Status is the part of `mailroot status --json` that tests look at.
type Status struct {
	Warnings []string `json:"warnings"`
	Memory   struct {
		Used     int64  `json:"used"`
		Limit    int64  `json:"limit"`
		Refusing string `json:"refusing"`
		Refused  uint64 `json:"refused"`
	} `json:"memory"`
	VirtualServers []struct {
		Queue struct {
			Messages   int    `json:"messages"`
			Recipients int    `json:"recipients"`
			Deferred   int    `json:"deferred"`
			Loading    bool   `json:"loading"`
			Delivered  uint64 `json:"delivered"`
			Failed     uint64 `json:"failed"`
		} `json:"queue"`
		Spool struct {
			Octets      int64    `json:"octets"`
			Error       string   `json:"error"`
			LowSpace    bool     `json:"low_space"`
			Refused     int64    `json:"refused"`
			Refusing    string   `json:"refusing"`
			Lost        int64    `json:"lost"`
			Torn        int64    `json:"torn"`
			Quarantined int      `json:"quarantined"`
			Notes       []string `json:"notes"`
		} `json:"spool"`
	} `json:"virtual_servers"`
}

// Status asks the running server by the command line.
func (s *Server) Status() Status {
	s.tb.Helper()
	var st Status
	out := s.CLI("status", "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.VirtualServers) != 1 {
		s.tb.Fatalf("status --json: %v\n%s", err, out)
	}
	return st
}

// Empty reports whether nothing waits in the queue.
func (s *Server) Empty() bool {
	s.tb.Helper()
	q := s.Status().VirtualServers[0].Queue
	return !q.Loading && q.Messages == 0
}
