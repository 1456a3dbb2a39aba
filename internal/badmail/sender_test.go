package badmail

import (
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// A pickup file of which no sender was understood has none; that is not the null sender, which one may ask for.
func TestUnknownSender(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	for i, s := range []mail.Sender{{}, {Body: mail.Body8BitMIME}} {
		e := plain("x")
		e.Env.Source, e.Env.Sender, e.Env.ID, e.File, e.Code = mail.SourcePickup, s, 0, "a.eml", CodePickup
		name := f.must(t, e, noon)
		got, err := f.Read(name)
		if unknown := i == 0; err != nil || got.NoSender() != unknown {
			t.Errorf("%+v: %v, %v", s, got.NoSender(), err)
		}
	}
	if all, _, err := f.List(t.Context(), Query{Sender: "<>"}, "", 10); err != nil || len(all) != 1 || all[0].NoSender() {
		t.Errorf("%+v, %v", all, err)
	}
}
