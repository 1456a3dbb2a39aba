package metabase

import (
	"strconv"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/config"
)

// count sets a number of the schema from a DWORD.
func (c *converter) count(b *block, name, property string) {
	c.scaled(b, name, property, 1, func(n int64) string { return strconv.FormatInt(n, 10) })
}

// size sets a size from octets.
func (c *converter) size(b *block, name, property string) *entry {
	return c.scaled(b, name, property, 1, config.FormatSize)
}

// whyOf is what the table says of a property that means nearly the same here.
func (c *converter) whyOf(row *Property) string {
	if row.Fate == Changed && c.later {
		return row.Why
	}
	return ""
}

// seconds sets a time from seconds.
func (c *converter) seconds(b *block, name, property string) {
	c.scaled(b, name, property, 1, timeText)
}

// scaled sets a number, size or time that is made to fit what the schema allows. It returns nil where there is nothing to set.
func (c *converter) scaled(b *block, name, property string, unit int64, text func(int64) string) *entry {
	v := c.value(property)
	if v.text == "" {
		return nil
	}
	n, err := number(v.text)
	if err != nil {
		c.leave(v, "%v; the default of Mailroot holds", err)
		return nil
	}
	literal, why := fit(b.setting(name), n, unit, text)
	if literal == "" {
		if v.set() {
			c.leave(v, "%s", why)
		}
		return nil
	}
	e := b.set(name, literal, v.note())
	if why == "" {
		why = c.whyOf(v.row)
	}
	c.record(v, e, why)
	return e
}

// unlimitedCount is what later versions of the original wrote where no limit was set.
const unlimitedCount = 2_000_000_000

// fit makes a number one that the setting can have, and says what that changes. An empty literal leaves the setting out.
func fit(s *config.Setting, n uint32, unit int64, text func(int64) string) (literal, why string) {
	unlimited := n == noLimit || n == 0 || unit == 1 && s.Kind == config.KindInt && n >= unlimitedCount
	value := int64(n) * unit
	switch {
	case unlimited && s.Zero != "":
		return config.Quote(s.Zero), ""
	case n == 0:
		return "", "0 stands for the original's own default; that of Mailroot holds"
	case value < s.Min:
		return text(s.Min), "the least that can be is " + text(s.Min)
	case s.Max > 0 && value > s.Max && s.Zero == "unlimited":
		return config.Quote(s.Zero), "it is above " + text(s.Max) + ", the largest limit there is"
	case s.Max > 0 && value > s.Max:
		return text(s.Max), "the most that can be is " + text(s.Max)
	}
	return text(value), ""
}

// yes sets true or false.
func (c *converter) yes(b *block, name, property string) {
	v := c.value(property)
	if v.text == "" {
		return
	}
	on, err := boolean(v.text)
	if err != nil {
		c.leave(v, "%v; the default of Mailroot holds", err)
		return
	}
	c.record(v, b.set(name, strconv.FormatBool(on), v.note()), "")
}

// text sets a text, which the schema may refuse; an empty one is as none.
func (c *converter) text(b *block, name, property string) *entry {
	v := c.value(property)
	if strings.TrimSpace(v.text) == "" {
		return nil
	}
	e := b.set(name, config.Quote(clean(v.text)), v.note())
	c.record(v, e, "")
	return e
}

// clean makes a text one line without control characters and without the passwords of connection strings, of at most 1000 octets.
func clean(s string) string {
	s = hidePasswords(s)
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "")
	}
	return strings.TrimSpace(s)
}

// timeText writes seconds as the file has them.
func timeText(sec int64) string { return config.FormatTime(time.Duration(sec) * time.Second) }
