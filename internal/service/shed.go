package service

import (
	"errors"
	"sync/atomic"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pressure"
)

// What is put off so that what was taken can be delivered: new mail while disk or memory are short, new connections
// while memory is nearly gone. Reports and deliveries go on.

// shed refuses mail while the memory of the process is short.
type shed struct {
	gauge   *pressure.Gauge
	refused atomic.Uint64 // messages
}

// errMemory is what a client is told.
var errMemory = mail.Fail(452, mail.Enhanced(4, 3, 1), "Insufficient system storage", errors.New("the memory of the process nears its limit"))

// mail returns an error while no mail is taken.
func (s *shed) mail() error {
	if s.gauge.Level() == pressure.Easy {
		return nil
	}
	s.refused.Add(1)
	return errMemory
}

// limit returns what the process may use, in octets; 0: there is no limit.
func (s *shed) limit() int64 { return s.gauge.State().Limit }

// short reports that no connection is taken.
func (s *shed) short() bool { return s.gauge.Level() >= pressure.Dire }

// openShed begins to watch the memory.
func (s *Service) openShed(cfg *config.Config) {
	o := pressure.Options{Limit: cfg.MemoryLimit, Changed: s.tellPressure}
	if s.o.Memory != nil {
		o.Used, o.Collect = s.o.Memory, func() {}
	}
	s.shed.gauge = pressure.New(o)
}

// tellPressure tells the log what is refused for the memory.
func (s *Service) tellPressure(p pressure.State) {
	switch p.Level {
	case pressure.Easy:
		s.o.Log.Info("mail is taken again: there is memory", "used", p.Used, "limit", p.Limit)
	case pressure.Tight:
		s.o.Log.Error("no mail is taken: the memory of the process nears its limit", "used", p.Used, "limit", p.Limit)
	case pressure.Dire:
		s.o.Log.Error("no mail and no connections are taken: the memory of the process is nearly used up", "used", p.Used, "limit", p.Limit)
	}
}

// Memory is what is known of the memory of the process.
type Memory struct {
	pressure.State
	Refused uint64 // messages, since the start
}

// Memory returns the figures of the memory.
func (s *Service) Memory() Memory {
	return Memory{State: s.shed.gauge.State(), Refused: s.shed.refused.Load()}
}

// noteReading tells the log when queued messages begin to be unreadable, and when they can be read again.
func (v *Server) noteReading(why error) {
	if why != nil {
		v.log.Error("queued mail cannot be read; it waits and is tried again", "server", v.name, "error", why)
		return
	}
	v.log.Info("queued mail can be read again", "server", v.name)
}

// noteRecording tells the log when delivery begins to wait until it can be written down what becomes of mail, and when it goes on.
func (v *Server) noteRecording(why error) {
	if why != nil {
		v.log.Error("delivery waits: what becomes of mail cannot be written down, and would be sent again after a restart", "server", v.name, "error", why)
		return
	}
	v.log.Info("delivery goes on: what becomes of mail can be written down", "server", v.name)
}

// noteSpool tells the log when the spool begins to refuse mail, and when it takes mail again.
func (v *Server) noteSpool(why error) {
	if why != nil {
		v.log.Error("no mail is taken", "server", v.name, "error", why)
		return
	}
	v.log.Info("mail is taken again", "server", v.name)
}
