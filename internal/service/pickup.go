package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

// pickupOptions joins the pickup directory to intake, spool and badmail.
func (v *Server) pickupOptions(c *config.VirtualServer) pickup.Options {
	o := pickup.Options{
		Dir:      c.Folders.Pickup,
		Files:    pickup.Plain(v.fs),
		Settings: pickupSettings(c),
		Begin: func(ctx context.Context) (pickup.Transaction, error) {
			if err := v.shed.mail(); err != nil {
				return nil, err
			}
			tx, err := v.plan.Load().intake.BeginPickup(ctx)
			if err != nil {
				return nil, err // a nil *Tx must not become a non-nil interface
			}
			return tx, nil
		},
		Sent:    v.has,
		Badmail: v.pickupBadmail,
		Events:  v.pickupEvents(),
	}
	if _, real := v.fs.(vfs.OS); real {
		o.Files, o.Watch = pickup.OS{}, pickup.Watch
	}
	return o
}

// has reports whether the spool has a message.
func (v *Server) has(ctx context.Context, id mail.QueueID) (bool, error) {
	_, err := v.store.Status(ctx, id)
	if errors.Is(err, spool.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// pickupBadmail keeps a file of the pickup directory that is no message.
func (v *Server) pickupBadmail(ctx context.Context, b *pickup.Bad) error {
	now := time.Now()
	_, err := v.bad.Write(ctx, &badmail.Entry{
		Env: &mail.Envelope{
			Source: mail.SourcePickup, Sender: b.Sender, Recipients: b.Recipients, Arrived: now,
			Content: mail.Content{Size: b.Size},
		},
		Body: b.Body, File: b.File, Code: badmail.CodePickup, Reason: b.Reason, Time: now,
	})
	return err
}

// pickupEvents turns events of the pickup directory into lines of the service's log.
func (v *Server) pickupEvents() pickup.Events {
	return pickup.Events{
		Bad: func(file, reason string) {
			v.log.Warn("a file in the pickup folder went to Badmail", "server", v.name, "file", file, "reason", reason)
		},
		Skipped: func(file, what string) {
			v.log.Warn("a name in the pickup folder is left alone", "server", v.name, "file", file, "is", what)
		},
		Late: func(file, why string) {
			v.log.Warn("a file in the pickup folder still waits", "server", v.name, "file", file, "reason", why)
		},
		Held: func(file string, err error) {
			v.log.Warn("a file in the pickup folder cannot be taken; it is tried again", "server", v.name, "file", file, "error", err)
		},
		Stays: func(file string, err error) {
			v.log.Error("a file in the pickup folder was sent and cannot be removed; it may be sent again after a restart", "server", v.name, "file", file, "error", err)
		},
		Deaf: func(err error) {
			v.log.Warn("nothing tells of new files in the pickup folder; it is looked through every few seconds", "server", v.name, "error", err)
		},
		Trouble: func(err error) {
			v.log.Error("no files are taken from the pickup folder", "server", v.name, "error", err)
		},
		Over: func() { v.log.Info("files are taken from the pickup folder again", "server", v.name) },
		Fault: func(value any, stack []byte) {
			v.log.Error("a fault while a file was read; please report it", "server", v.name, "fault", fmt.Sprint(value), "stack", string(stack))
		},
	}
}
