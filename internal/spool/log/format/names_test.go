package format

import "testing"

func TestNames(t *testing.T) {
	for _, id := range []ID{{Kind: KindSegment, Num: 1, Salt: 2}, {Kind: KindJournal, Num: 1<<32 - 1, Salt: 1<<64 - 1}, {Kind: KindCheckpoint, Num: 7}, {Kind: KindIndex, Num: 3, Salt: 4}} {
		got, ok := ParseName(id.Name())
		if !ok || got != id {
			t.Errorf("%s: %+v, %v", id.Name(), got, ok)
		}
		if whole, err := id.CheckHeader(id.Header(0)); !whole || err != nil {
			t.Errorf("%s: header %v, %v", id.Name(), whole, err)
		}
	}
	for _, name := range []string{"", "seg", "seg-1-2.seg", "seg-0000000001-000000000000000g.seg", "seg-9999999999-0000000000000001.seg",
		"seg-0000000001-0000000000000001.log", "state-0000000001-0000000000000001.seg", "lock", "body-1.dat", "body-000000000000000G.dat"} {
		if _, ok := ParseName(name); ok {
			t.Errorf("%q was taken for one of ours", name)
		}
		if _, ok := ParseBodyName(name); ok {
			t.Errorf("%q was taken for a message", name)
		}
	}
	if id, ok := ParseBodyName(BodyName(1<<63 + 5)); !ok || id != 1<<63+5 {
		t.Error("the name of a message file")
	}
}
